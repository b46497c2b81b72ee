"""Letters and arithmetic on the account page: what the customer got, sent again by a desk user, explained."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert, select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, Event
from margin_platform.dashboard.desk import users
from margin_platform.dashboard.desk.acts import endpoint
from margin_platform.dashboard.desk.users import BadUsers, DeskUsers
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.bus import Bus
from margin_platform.notification.channels import DeliveryRefused, Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support.page import FALL

POLICY = current_policy()
NOW = time.time_ns() // 1_000_000
LATE = NOW - int(POLICY.notices.notice_alarm_minutes * 60_000) - 1_000
CALL = {
    "account_id": "LEVERED-4",
    "call_id": "c1",
    "correlation_id": "c1",
    "action": "MARGIN_CALL",
    "deficiency": 201_650.0,
    "explanation": "Short <script>parent.document.title='owned'</script>",
    "timestamp": 1_584_019_860_000,
}


class Refusing:
    """A mail server that refuses every recipient but these."""

    name, kind = "SMTP", "email"

    def __init__(self, *known: str) -> None:
        self.known = known

    def send(self, message: Outgoing) -> str:
        if message.recipient not in self.known:
            raise DeliveryRefused("no such mailbox")
        return "receipt 7"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """LEVERED-4's mailbox does not exist, GREEN-1's does; each was called once."""
    monkeypatch.setenv("MARGIN_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        with opened.write() as connection:
            for account in ("LEVERED-4", "GREEN-1"):
                contact = {"email": f"{account.lower()}@x.example", "name": "Ada Lovelace"}
                connection.execute(
                    insert(t.contacts).values(account_id=account, contact=contact, updated_at=1)
                )
        notifier = Notifier(opened, POLICY, [Refusing("green-1@x.example")])
        calls = [(CALL | {"account_id": account}, n) for n, account in enumerate(("LEVERED-4", "GREEN-1"))]
        notifier.record([(call, (MARGIN_CALLS, 0, n)) for call, n in calls], LATE)
        notifier.deliver(LATE)
        yield opened


@pytest.fixture
def jane(tmp_path: Path) -> tuple[Path, str]:
    """The file of users, and the token of the one in it."""
    return tmp_path / "users.json", users.add(tmp_path / "users.json", "jane")


@pytest.fixture
def desk(store: Store, jane: tuple[Path, str]) -> TestClient:
    return TestClient(endpoint(NewestRows(lambda clock: clock), DeskUsers(jane[0])))


def test_the_log_says_what_went_where_and_to_what_effect(desk: TestClient) -> None:
    (letter,) = desk.get("/letters", params={"account": "LEVERED-4"}).json()["letters"]
    assert (letter["status"], letter["to"], letter["resendable"]) == ("UNDELIVERED", "l•••@x.example", True)
    assert letter["error"] == "no such mailbox"
    (other,) = desk.get("/letters", params={"account": "GREEN-1"}).json()["letters"]
    assert (other["status"], other["receipt"], other["resendable"]) == ("DELIVERED", "receipt 7", False)
    assert desk.get("/letters", params={"id": other["notification_id"]}).json()["letters"] == [other]
    assert desk.get("/letters", params={"account": "NO-SUCH"}).json()["letters"] == []


def test_a_letter_is_a_document_of_its_own_in_which_nothing_runs(desk: TestClient, store: Store) -> None:
    (letter,) = desk.get("/letters", params={"account": "LEVERED-4"}).json()["letters"]
    shown = desk.get("/letter", params={"id": letter["notification_id"]})
    with store.read() as connection:
        query = select(t.notifications.c.html).where(t.notifications.c.account_id == "LEVERED-4")
        sent = connection.execute(query).scalar_one()
    assert shown.text.replace(print_rules(shown.text), "") == sent  # as it was sent, and rules for paper
    assert "<script" not in shown.text
    assert "default-src 'none'" in shown.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in shown.headers["content-security-policy"]
    assert desk.get("/letter", params={"id": "none"}).status_code == 404


def print_rules(text: str) -> str:
    return text[text.index("<style media") : text.index("</style>") + len("</style>")]


def test_a_text_message_is_shown_as_text(desk: TestClient, store: Store) -> None:
    with store.write() as connection:
        plain = {"html": None, "body": "<b>Call</b>\nline two", "channel": "SNS"}
        connection.execute(t.notifications.update().values(**plain))
    (letter,) = desk.get("/letters", params={"account": "GREEN-1"}).json()["letters"]
    shown = desk.get("/letter", params={"id": letter["notification_id"]}).text
    assert "&lt;b&gt;Call&lt;/b&gt;\nline two" in shown


@pytest.mark.parametrize(
    ("token", "account", "status"),
    [(None, "LEVERED-4", 200), ("", "LEVERED-4", 401), ("a guess", "LEVERED-4", 401), (None, "GREEN-1", 422)],
)
def test_only_a_desk_user_sends_again_and_only_what_reached_no_one(
    desk: TestClient, store: Store, jane: tuple[Path, str], token: str | None, account: str, status: int
) -> None:
    (letter,) = desk.get("/letters", params={"account": account}).json()["letters"]
    shown = {"x-desk-token": jane[1] if token is None else token}
    asked = {"notification_id": letter["notification_id"]}
    answer = desk.post("/acts/resend", json=asked, headers=shown)
    assert answer.status_code == status
    with store.read() as connection:
        acts = [row.event for row in connection.execute(select(t.outbox)) if row.topic == "audit.v1"]
    assert [(act["decision"], act["who"]) for act in acts] == (
        [("NOTICE_RESENT", "jane")] if status == 200 else []
    )
    (after,) = desk.get("/letters", params={"account": account}).json()["letters"]
    assert after["status"] == ("PENDING" if status == 200 else letter["status"])


def test_a_resend_without_a_usable_id_is_refused_by_name(desk: TestClient, jane: tuple[Path, str]) -> None:
    for said in ({}, {"notification_id": 7}, {"notification_id": "none"}):
        answer = desk.post("/acts/resend", json=said, headers={"x-desk-token": jane[1]})
        assert (answer.status_code, answer.json()["field"]) == (422, "notification_id")


def test_desk_users_are_added_listed_and_ended_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "desk" / "users.json"
    monkeypatch.setenv("MARGIN_DESK_USERS", str(file))

    def margin(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["desk-users", *arguments])

    assert "no one may act" in margin().stdout
    first = margin("add", "jane").stdout.splitlines()[-1]
    second = margin("add", "jane").stdout.splitlines()[-1]
    margin("add", "omar")
    assert margin().stdout.split() == ["jane", "omar"]
    known = DeskUsers(file)
    assert (known.name_of(second, "a"), known.name_of(first, "b")) == ("jane", None)
    assert second not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert margin("remove", "jane").exit_code == 0
    assert known.name_of(second, "c") is None
    for wrong in (("add", "a b"), ("remove", "jane"), ("add", "")):
        result = margin(*wrong)
        assert (result.exit_code, f"value {wrong[1]!r}" in result.stderr) == (2, True)
    monkeypatch.delenv("MARGIN_DESK_USERS")
    assert "MARGIN_DESK_USERS is not set" in margin().stderr


def test_a_file_that_holds_tokens_themselves_is_refused_and_does_not_show_them(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    file.write_text('{"jane": "her token"}')
    with pytest.raises(BadUsers, match=r"MARGIN_DESK_USERS\.jane: not the sha256 of a token") as refused:
        DeskUsers(file).name_of("her token", "a")
    assert "her token" not in str(refused.value)


def decided(store: Store, status: list[Event]) -> None:
    Enforcer(store, POLICY).handle_many(
        [(e, (MARGIN_STATUS, 0, n)) for n, e in enumerate(status)], run_id="r"
    )


@pytest.mark.kafka
@pytest.mark.browser
def test_a_letter_is_read_printed_and_sent_again_and_the_arithmetic_copied(
    bus: Bus, firm: Any, start: Any, tab: Page, store: Store, jane: tuple[Path, str]
) -> None:
    firm.publish(bus, firm.open())
    decided(store, firm.publish(bus, firm.tick(**FALL)).status)
    server = start(MARGIN_STORE=store.url, MARGIN_DESK_USERS=str(jane[0]))
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.goto(f"{server.url}/#/account/LEVERED-4")
    said = CliRunner().invoke(app, ["explain", "LEVERED-4"]).stdout
    tab.click("#arithmetic-show")
    expect(tab.locator("#arithmetic")).to_contain_text("matches to the cent")
    tab.click("#arithmetic-copy")
    expect(tab.locator("#arithmetic-said")).to_have_text("copied")
    assert tab.evaluate("navigator.clipboard.readText()") == said
    line = tab.locator("#account-letters tbody tr").filter(has_text="Margin call")
    expect(line).to_contain_text("undelivered")
    line.get_by_role("link").click()
    letter = tab.frame_locator("#letter")
    expect(letter.locator("body")).to_contain_text("Amount of the call: $201,650.00")
    expect(letter.locator("body")).to_contain_text("<script>")  # as text
    tab.locator("#letter").evaluate(
        "frame => { frame.contentWindow.print = () => { frame.title = 'printed' } }"
    )
    tab.click("#letter-print")
    expect(tab.locator("#letter")).to_have_attribute("title", "printed")
    tab.emulate_media(media="print")
    expect(tab.locator(".bar")).to_be_hidden()
    expect(tab.locator("#letter")).to_be_visible()
    tab.emulate_media(media="screen")
    form = tab.get_by_role("form", name="Send again")
    for token, outcome in (("a guess", "not a desk user's token"), (jane[1], "due again")):
        form.locator("[name=token]").fill(token)
        form.get_by_role("button", name="Send again").click()
        expect(tab.locator("#letter-said")).to_contain_text(outcome)
    assert tab.title() == "Margin desk"
