"""Killed with SIGKILL at every point between event and topic, then run again:
one call, one order, one notification downstream.

A notice whose sender died between the provider's answer and its record is sent again: whether it
arrived cannot be known. Both carry one id: the provider's or the customer's side sees the repetition.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from margin_platform.contracts.messages import AUDIT, LIQUIDATION_ORDERS, MARGIN_CALLS, NOTIFICATIONS
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.store import crashing
from tests.support import status_events

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """SQLite: what Postgres does differently in a transaction is held by the calls' test."""
    return f"sqlite:///{tmp_path / 'store.db'}"


POINTS = ["before commit", "after commit, before publish", "after publish, before mark"]


def _killed_and_repeated(
    act: str, url: str, given: list[dict[str, Any]], folder: Path, point: str
) -> list[Any]:
    """What reached the topics: [topic, event] in order, after a kill at a point and two complete
    repetitions.
    """
    events, log = folder / "events.json", folder / "topics.log"
    events.write_text(json.dumps(given))
    with Store(url):
        pass
    command = [sys.executable, "-m", "tests.store.crashing", act, url, str(events), str(log), point]
    died = subprocess.run(command, timeout=200, cwd=ROOT, capture_output=True, text=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    for _ in range(2):
        crashing.main(act, url, str(events), str(log), "never")
    messages = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(messages) == (2 if point == "after publish, before mark" else 1) * len(
        {m["event_id"] for _, m in messages}
    )
    return messages


def _count(store: Store, *where: Any) -> int:
    with store.read() as connection:
        return int(connection.execute(select(func.count()).where(*where)).scalar_one())


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_and_doubles_no_call(point: str, store_url: str, tmp_path: Path) -> None:
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000)
    seen += feed.price(90.0, 2)
    messages = _killed_and_repeated("enforce", store_url, seen, tmp_path, point)
    assert (
        len(
            {m["event_id"] for topic, m in messages if topic == MARGIN_CALLS and m["action"] == "MARGIN_CALL"}
        )
        == 1
    )
    with Store(store_url) as store:
        assert _count(store, t.calls.c.call_id.is_not(None)) == 1
        assert _count(store, t.outbox.c.sent.is_(False)) == 0
        assert audit_chain.verify(store)[1] == []


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_loses_and_doubles_no_order(point: str, url: str, tmp_path: Path) -> None:
    feed = status_events.StatusFeed()
    feed.open("ACC-1", -70_000.0, 100.0, 1_000.0)
    (status,) = [s for s in feed.price(85.0, 1.0) if s["account_id"] == "ACC-1"]
    request = status | {
        "call_id": "c1",
        "attempt": 1,
        "event_id": "e1",
        "explanation": "past due",
        "deficiency": -status["excess"],
    }
    messages = _killed_and_repeated("liquidate", url, [request], tmp_path, point)
    assert {(topic, m["attempt"]) for topic, m in messages} == {(LIQUIDATION_ORDERS, 1), (AUDIT, 1)}
    assert len({m["order_id"] for _, m in messages}) == 1
    with Store(url) as store:
        assert _count(store, t.orders.c.status == "SENT") == 1
        assert audit_chain.verify(store) == (1, [])
        assert _count(store, t.outbox.c.sent.is_(False)) == 0


@pytest.mark.parametrize("point", [*POINTS, "after record, before send", "after send, before receipt"])
def test_a_kill_at_any_point_loses_no_notification_and_records_one(
    point: str, url: str, tmp_path: Path
) -> None:
    call = {
        "account_id": "ACC-1",
        "call_id": "c1",
        "correlation_id": "c1",
        "action": "MARGIN_CALL",
        "deficiency": 2500.0,
        "components": {},
        "due_at_ms": 1_582_920_000_000,
        "explanation": "below the requirement",
        "policy_version": "house",
        "timestamp": 1_582_300_000_000,
    }
    with Store(url) as store, store.write() as connection:
        connection.execute(
            insert(t.contacts).values(
                account_id="ACC-1", contact={"email": "customer@example.com"}, updated_at=1
            )
        )
    messages = _killed_and_repeated("notify", url, [call], tmp_path, point)
    assert {(topic, m["status"]) for topic, m in messages} == {(NOTIFICATIONS, "DELIVERED")}
    letters = [json.loads(line) for line in (tmp_path / "letters").read_text().splitlines()]
    assert len({tuple(letter) for letter in letters}) == 1  # one id, one recipient
    # what a repetition cannot be spared
    assert len(letters) == (2 if point == "after send, before receipt" else 1)
    with Store(url) as store, store.read() as connection:
        (row,) = connection.execute(select(t.notifications)).all()
        assert (row.status, row.receipt) == ("DELIVERED", f"receipt-{letters[0][0]}")
        assert _count(store, t.outbox.c.sent.is_(False)) == 0
