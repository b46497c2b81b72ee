"""Notices that reached no one: listed, an alarm in `margin status`, sent again, or closed by a person."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update
from typer.testing import CliRunner, Result

from margin_platform.cli import app
from margin_platform.contracts.messages import AUDIT, MARGIN_CALLS
from margin_platform.notification.channels import DeliveryFailed, DeliveryRefused, Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store

POLICY = current_policy()
NOW = time.time_ns() // 1_000_000
LATE = NOW - int(POLICY.notices.notice_alarm_minutes * 60_000) - 1_000


class Mail:
    """A channel that answers each recipient as asked, once, then accepts."""

    name, kind = "SMTP", "email"

    def __init__(self, **answers: Exception) -> None:
        self.answers, self.taken = answers, list[str]()

    def send(self, message: Outgoing) -> str:
        if answer := self.answers.pop(message.recipient[0], None):
            raise answer
        self.taken.append(message.recipient)
        return "receipt"


def call(account_id: str) -> Any:
    return {
        "account_id": account_id,
        "call_id": "c1",
        "correlation_id": "c1",
        "action": "MARGIN_CALL",
        "deficiency": 1.0,
        "explanation": "short",
        "timestamp": 1_582_300_000_000,
    }


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("MARGIN_STORE", url)
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A and B have an address, C has two in one field."""
    with Store(url) as opened:
        with opened.write() as connection:
            for account_id, email in (
                ("A", "a@x.example"),
                ("B", "b@x.example"),
                ("C", "c@x.example,d@x.example"),
            ):
                connection.execute(
                    insert(t.contacts).values(account_id=account_id, contact={"email": email}, updated_at=1)
                )
        yield opened


def margin(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def listed() -> dict[str, tuple[str, str]]:
    """Account -> status and id of what `margin notices` lists;
    its exit code says whether there is anything.
    """
    result = margin("notices", "--json")
    rows = json.loads(result.stdout)
    assert result.exit_code == bool(rows), result.output
    return {row["account_id"]: (row["status"], row["notification_id"]) for row in rows}


def test_what_reached_nobody_is_listed_and_sent_again(store: Store) -> None:
    mail = Mail(a=DeliveryRefused("no such mailbox"), b=DeliveryFailed("down"))
    notifier = Notifier(store, POLICY, [mail])
    notifier.record([(call(account), (MARGIN_CALLS, 0, n)) for n, account in enumerate("ABC")], LATE)
    notifier.deliver(LATE)
    found = listed()
    assert {account: status for account, (status, _) in found.items()} == {
        "A": "UNDELIVERED",
        "B": "PENDING",
        "C": "HELD",
    }
    assert "no such mailbox" in margin("notices").output
    assert "not one email address" in margin("notices").output  # C: one field, two mailboxes

    with store.write() as connection:
        connection.execute(
            update(t.contacts).where(t.contacts.c.account_id == "C").values(contact={"email": "c@x.example"})
        )
    assert margin("notices", "resend", found["A"][1]).output == "1 due again\n"
    assert margin("notices", "resend", "--account", "C").output == "1 due again\n"
    notifier.deliver(NOW)
    assert sorted(mail.taken) == ["a@x.example", "b@x.example", "c@x.example"]
    assert listed() == {}


def test_an_address_that_is_still_none_stays_held_and_is_named(store: Store) -> None:
    Notifier(store, POLICY, [Mail()]).record([(call("C"), (MARGIN_CALLS, 0, 0))], LATE)
    output = margin("notices", "resend", "--all").output
    assert output.startswith("0 due again\n")
    assert "not one email address for account C, value 'c@x.example,d@x.example'" in output


def test_a_person_who_reached_the_customer_takes_the_notice_off_the_list(store: Store) -> None:
    notifier = Notifier(store, POLICY, [Mail(a=DeliveryRefused("gone"))])
    notifier.record([(call("A"), (MARGIN_CALLS, 0, 0))], LATE)
    notifier.deliver(LATE)
    assert (
        margin("notices", "reached", "--all", "--how", "J. Doe by phone").output == "1 recorded as reached\n"
    )
    assert listed() == {}
    with store.read() as connection:
        act, newest = connection.execute(t.outbox.select().order_by(t.outbox.c.seq.desc()).limit(2)).all()
    assert (newest.event["status"], newest.event["receipt"]) == ("REACHED", "J. Doe by phone")
    assert (act.topic, act.event["decision"]) == (AUDIT, "NOTICE_REACHED")


@pytest.mark.parametrize(
    "arguments", [["resend"], ["resend", "x"], ["resend", "--account", "Z"], ["resend", "x", "--all"]]
)
def test_what_is_not_on_the_list_is_named(store: Store, arguments: list[str]) -> None:
    result = margin("notices", *arguments)
    assert result.exit_code == 2
    assert "value" in result.output


def test_status_names_what_reached_nobody_although_the_firm_has_no_contact(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_DATA", str(tmp_path))
    assert json.loads(margin("status", "--json").stdout)["unreached"] == 0
    notifier = Notifier(store, POLICY, [Mail(a=DeliveryRefused("gone"))])
    notifier.record([(call("A"), (MARGIN_CALLS, 0, 0))], LATE)
    notifier.deliver(LATE)
    result = margin("status", "--json")
    assert (result.exit_code, json.loads(result.stdout)["unreached"]) == (1, 1)
