"""The calls worklist without a browser: who is latest, who may act, what an act leaves behind."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from starlette.testclient import TestClient

from margin_platform.contracts.messages import Event
from margin_platform.dashboard.desk.acts import endpoint
from margin_platform.dashboard.desk.users import DeskUsers
from margin_platform.dashboard.server.app import Options, build
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.store import tables as t
from margin_platform.store.store import Store

NOON = 1_584_028_800_000
HOUR = 3_600_000
TOKENS = {"jane": "jane's token", "omar": "omar's token"}
FIGURES = {"components": {"base_requirement": 900.0}, "margin_type": "REG_T", "equity": 950.0}


def call(account: str, due: int, **more: Any) -> Event:
    shared = {
        "account_id": account,
        "call_id": f"MC-{account}",
        "correlation_id": f"MC-{account}",
        "timestamp": NOON,
    }
    return (
        shared
        | {
            "action": "MARGIN_CALL",
            "deficiency": 100.0,
            "issued": 100.0,
            "due_at_ms": due,
            "opened_at_ms": NOON,
        }
        | FIGURES
        | more
    )


@pytest.fixture
def rows() -> NewestRows:
    found = NewestRows(lambda clock: clock - HOUR)
    terms = {"account_id": "LATE", "customer_name": "Jane Q. Customer", "representative": "R. Smith"}
    notice = {
        "account_id": "SOON",
        "notification_id": "N",
        "correlation_id": "MC-SOON",
        "rung": "margin.calls.v1:MARGIN_CALL:0",
    }
    figures = {
        "account_id": "LATE",
        "status": "MARGIN_CALL",
        "excess": -130.5,
        "equity": 1.0,
        "gross_mv": 9.0,
        "timestamp": NOON,
    }
    calls = [
        call("SOON", NOON + 3 * HOUR),
        call("LATE", NOON - 30 * HOUR),
        call("LATER", NOON + 90 * HOUR, equity=899.0),
    ]
    found.apply(
        [("accounts.v1", 0, terms), ("margin.calc.v1", 0, figures)]
        + [("margin.calls.v1", 0, event) for event in calls]
        + [("notifications.v1", 0, notice | {"channel": "SNS", "status": "DELIVERED"})]
    )
    return found


@pytest.fixture
def desk(rows: NewestRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """The worklist over a store with the three calls, and two desk users."""
    address = f"sqlite:///{tmp_path / 'store.db'}"
    monkeypatch.setenv("MARGIN_STORE", address)
    with Store(address) as store, store.write() as connection:
        for account in ("SOON", "LATE", "LATER"):
            fixed = {
                "opened_at": NOON,
                "due_at": NOON,
                "issued": 100.0,
                "outstanding": 100.0,
                "calc_id": "",
                "evidence": {},
            }
            connection.execute(
                insert(t.calls).values(call_id=f"MC-{account}", account_id=account, status="OPEN", **fixed)
            )
        connection.execute(insert(t.calls).values(call_id="MC-OLD", account_id="LATE", status="MET", **fixed))
    users = tmp_path / "users.json"
    users.write_text(
        json.dumps({name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()})
    )
    return TestClient(endpoint(rows, DeskUsers(users)))


def act(desk: TestClient, who: str, approver: str = "", **asked: object) -> Any:
    headers = {"x-desk-token": TOKENS.get(who, who), "x-approver-token": TOKENS.get(approver, approver)}
    return desk.post("/acts", json=asked, headers=headers)


def listed(desk: TestClient) -> dict[str, Any]:
    return {row["account_id"]: row for row in desk.get("/calls").json()["calls"]}


def test_the_latest_call_comes_first_with_its_kind_customer_hours_and_delivery(desk: TestClient) -> None:
    found = listed(desk)
    assert [(account, row["hours_left"]) for account, row in found.items()] == [
        ("LATE", -30.0),
        ("SOON", 3.0),
        ("LATER", 90.0),
    ]
    late = found["LATE"]
    assert (late["customer"], late["representative"]) == ("Jane Q. Customer", "R. Smith")
    assert (late["issued"], late["outstanding"]) == (100.0, 130.5)
    assert (late["type"], found["LATER"]["type"]) == ("House maintenance call", "Exchange maintenance call")
    assert found["SOON"]["delivery"] == [{"channel": "SNS", "status": "DELIVERED"}]
    assert (late["delivery"], late["owner"], late["notes"]) == ([], None, [])


def test_what_people_do_is_listed_and_audited_and_moves_no_rung(desk: TestClient, tmp_path: Path) -> None:
    before = _calls(tmp_path)
    for asked in (
        {"act": "owner", "text": "omar"},
        {"act": "acknowledge"},
        {"act": "note", "text": "left a message"},
        {"act": "promise", "amount": 250.0, "until": "2020-03-16"},
    ):
        assert act(desk, "jane", call_id="MC-LATE", **asked).json() == {
            "who": "jane",
            "act": _code(asked["act"]),
        }
    assert (
        act(desk, "jane", "omar", act="extension", call_id="MC-LATE", until="2020-03-17").status_code == 200
    )
    late = listed(desk)["LATE"]
    assert (late["owner"], late["acknowledged"], late["notes"]) == ("omar", "jane", ["left a message (jane)"])
    assert late["promise"] == "$250.00 by 2020-03-16 (jane)"
    assert late["extension"] == "to 2020-03-17, approved by omar (jane)"
    assert late["hours_left"] == -30.0  # the extension is the desk's word; the due time is the ladder's
    assert _calls(tmp_path) == before
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store, store.read() as connection:
        sent = [row.event for row in connection.execute(select(t.outbox).order_by(t.outbox.c.seq))]
    assert [(e["account_id"], e["who"], e["about"], e["number"]) for e in sent] == [
        ("firm/acts", "jane", "LATE", n) for n in range(1, 6)
    ]
    assert (sent[4]["approver"], sent[3]["amount"]) == ("omar", 250.0)


def _code(act: object) -> str:
    return {
        "owner": "CALL_OWNER",
        "acknowledge": "CALL_ACKNOWLEDGED",
        "note": "CALL_NOTE",
        "promise": "CALL_PROMISE",
    }[str(act)]


def _calls(folder: Path) -> list[Any]:
    with Store(f"sqlite:///{folder / 'store.db'}") as store, store.read() as connection:
        return [
            tuple(row) for table in (t.calls, t.ladder_states) for row in connection.execute(select(table))
        ]


@pytest.mark.parametrize(
    ("who", "approver", "asked", "status", "field"),
    [
        ("", "", {"act": "note", "text": "x"}, 401, None),
        ("a guess", "", {"act": "note", "text": "x"}, 401, None),
        ("jane", "jane", {"act": "extension", "until": "2020-03-17"}, 422, "approver"),
        ("jane", "", {"act": "extension", "until": "2020-03-17"}, 422, "approver"),
        ("jane", "a guess", {"act": "extension", "until": "2020-03-17"}, 422, "approver"),
        ("jane", "", {"act": "note", "text": "  "}, 422, "text"),
        ("jane", "", {"act": "note", "text": "x" * 501}, 422, "text"),
        ("jane", "", {"act": "promise", "amount": 0, "until": "2020-03-17"}, 422, "amount"),
        ("jane", "", {"act": "promise", "amount": 5, "until": "soon"}, 422, "until"),
        ("jane", "", {"act": "promise", "amount": "5", "until": "2020-03-17"}, 422, "amount"),
        ("jane", "", {"act": "forgive"}, 422, "act"),
        ("jane", "", {"act": "note", "text": "x", "call_id": "MC-OLD"}, 422, "call_id"),
        ("jane", "", {"act": "note", "text": "x", "call_id": "none"}, 422, "call_id"),
        ("jane", "", {"act": "note", "text": "x", "call_id": 7}, 422, "call_id"),
    ],
)
def test_an_act_that_is_no_desk_users_or_cannot_be_used_is_refused_and_leaves_nothing(
    desk: TestClient,
    tmp_path: Path,
    who: str,
    approver: str,
    asked: dict[str, Any],
    status: int,
    field: str | None,
) -> None:
    answer = act(desk, who, approver, **({"call_id": "MC-LATE"} | asked))
    assert (answer.status_code, answer.json().get("field")) == (status, field)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store, store.read() as connection:
        assert connection.execute(select(t.audit)).all() == []


def test_without_a_file_of_users_no_one_acts_and_the_page_says_so(desk: TestClient, rows: NewestRows) -> None:
    assert desk.get("/calls").json()["may_act"] is True
    closed = TestClient(endpoint(rows, DeskUsers(None)))
    assert closed.get("/calls").json()["may_act"] is False
    assert act(closed, "jane", act="acknowledge", call_id="MC-LATE").status_code == 401


def test_another_site_cannot_act_through_a_browser(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MARGIN_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    page = TestClient(build(Options("127.0.0.1:1")), base_url="http://127.0.0.1:8050")
    assert page.post("/desk/acts", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert page.post("/desk/acts", json={}).status_code == 401
    assert page.post("/desk/calls", json={}).status_code == 405
    assert list(tmp_path.iterdir()) == []
