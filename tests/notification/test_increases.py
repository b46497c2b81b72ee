"""Increases of a margin call: one digest a session, and at once where the kind of the call changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert, select

from margin_platform.contracts.messages import MARGIN_CALLS, Event
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.notification.increases import digest_at
from margin_platform.notification.outstanding import unreached
from margin_platform.notification.states import next_due
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from margin_platform.trading_time.new_york import NEW_YORK

POLICY = current_policy()


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp() * 1000)


OPENED = at("2026-11-23 10:00")  # a Monday; Thursday is Thanksgiving, and Friday closes at 13:00
HOUSE = {"base_requirement": 20_000.0, "concentration_addon": 12_500.0}
EXCHANGE = {"base_requirement": 40_000.0}


class Provider:
    """Takes everything it is given."""

    name, kind = "email", "email"

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []

    def send(self, out: Outgoing) -> str:
        self.taken.append(out)
        return f"receipt-{len(self.taken)}"


class Desk:
    """A notifier of one call whose wall clock is the event clock."""

    def __init__(self, store: Store) -> None:
        self.store, self.provider, self.offset = store, Provider(), 0
        self.notifier = Notifier(store, POLICY, [self.provider])

    def hear(
        self, when: str, action: str, owed: float, parts: dict[str, float] = HOUSE, kind: str = ""
    ) -> None:
        self.hear_all([(when, action, owed, parts, kind)])

    def hear_all(self, said: list[tuple[str, str, float, dict[str, float], str]]) -> None:
        events: list[tuple[Event, tuple[str, int, int]]] = []
        for when, action, owed, parts, kind in said:
            said_of_it = {
                "account_id": "A1",
                "call_id": "c1",
                "correlation_id": "c1",
                "action": action,
                "deficiency": owed,
                "equity": 30_000.0,
                "components": parts,
                "opened_at_ms": OPENED,
                "due_at_ms": at("2026-11-30 15:00"),
                "timestamp": at(when),
                "explanation": f"{action} of {owed}",
            }
            decision = kind or {"AMENDED": "CALL_INCREASED"}.get(action)
            events.append(
                (said_of_it | ({"decision": decision} if decision else {}), (MARGIN_CALLS, 0, self.offset))
            )
            self.offset += 1
        now = at(said[-1][0])
        self.notifier.record(events, now)
        self.notifier.deliver(now)

    def wake(self, when: str) -> None:
        Notifier(self.store, POLICY, [self.provider]).deliver(at(when))  # as a later run does

    @property
    def subjects(self) -> list[str]:
        return [out.subject.partition(":")[0] for out in self.provider.taken]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        with store.write() as connection:
            contact = {"email": "customer@example.com"}
            connection.execute(insert(t.contacts).values(account_id="A1", contact=contact, updated_at=1))
        yield Desk(store)


def test_the_increases_of_a_session_are_one_notice_with_the_newest_amount(desk: Desk) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    for minute in range(30):
        desk.hear(f"2026-11-23 11:{minute:02d}", "AMENDED", 2_600.0 + minute)
    assert desk.subjects == ["Margin call"]
    assert next_due(desk.store) == at("2026-11-23 16:15") + 30_000  # half a minute's grace for its own run
    desk.wake("2026-11-23 16:14")
    assert desk.subjects == ["Margin call"]
    desk.wake("2026-11-23 16:15")
    assert desk.subjects == ["Margin call", "Margin call increased"]
    assert "Call increased to $2,629.00; due date unchanged" in desk.provider.taken[-1].text
    desk.wake("2026-11-23 17:00")
    assert len(desk.provider.taken) == 2


def test_a_digest_of_each_session_until_the_call_ends(desk: Desk) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    for day in (23, 24, 25):
        for hour in (11, 12, 13, 14):
            desk.hear(f"2026-11-{day} {hour}:30", "AMENDED", 100.0 * (30 + day) + hour)
        desk.wake(f"2026-11-{day} 16:15")
    desk.hear("2026-11-27 11:00", "MET", 5_000.0)
    assert desk.subjects == ["Margin call", *["Margin call increased"] * 3, "Margin call met"]


def test_events_release_a_digest_whatever_the_wall_clock_says(desk: Desk) -> None:
    """As in a replay, where the event clock runs faster than the wall clock."""
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    desk.hear("2026-11-23 11:00", "AMENDED", 2_600.0)
    events: Event = {"account_id": "A2", "correlation_id": "w", "action": "HELD"}
    desk.notifier.record(
        [(events | {"timestamp": at("2026-11-24 09:30")}, (MARGIN_CALLS, 0, desk.offset))], OPENED
    )
    desk.notifier.deliver(OPENED + 1)
    assert desk.subjects == ["Margin call", "Margin call increased"]


def test_a_change_of_kind_is_said_at_once_and_takes_the_place_of_the_digest(desk: Desk) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    desk.hear("2026-11-23 11:00", "AMENDED", 2_600.0)
    desk.hear("2026-11-23 12:00", "AMENDED", 10_000.0, EXCHANGE)
    assert desk.subjects == ["Margin call", "Margin call increased"]
    assert "Exchange maintenance call" in desk.provider.taken[-1].text
    desk.hear("2026-11-23 13:00", "AMENDED", 11_000.0, EXCHANGE)  # of the kind last heard of: waits again
    assert len(desk.provider.taken) == 2
    desk.wake("2026-11-23 16:15")
    assert "$11,000.00" in desk.provider.taken[-1].text
    assert len(desk.provider.taken) == 3


@pytest.mark.parametrize(
    ("action", "kind"), [("MET", ""), ("RESCINDED", ""), ("EXPIRED", ""), ("AMENDED", "CALL_RESTATED")]
)
@pytest.mark.parametrize("together", [False, True], ids=["later", "in one run"])
def test_what_ends_or_lowers_a_call_leaves_no_digest_behind(
    desk: Desk, action: str, kind: str, together: bool
) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    increase = ("2026-11-23 11:00", "AMENDED", 2_600.0, HOUSE, "")
    end = ("2026-11-23 12:00", action, 2_400.0, HOUSE, kind)
    if together:
        desk.hear_all([increase, end])
    else:
        desk.hear(*increase)
        desk.hear(*end)
    desk.wake("2026-11-24 17:00")
    assert len(desk.provider.taken) == 2
    assert "increased" not in "".join(desk.subjects)
    assert next_due(desk.store) is None
    assert unreached(desk.store, POLICY.notices, at("2026-12-24 12:00")) == []


def test_an_increase_read_after_its_digest_went_out_is_said_at_once(desk: Desk) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    desk.hear("2026-11-23 11:00", "AMENDED", 2_600.0)
    desk.wake("2026-11-23 16:15")
    desk.hear("2026-11-23 15:59", "AMENDED", 2_700.0)  # behind by a quarter of an hour
    assert "$2,700.00" in desk.provider.taken[-1].text
    assert len(desk.provider.taken) == 3


def test_a_digest_that_waits_for_hours_is_no_notice_that_reached_no_one(desk: Desk) -> None:
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    desk.hear("2026-11-23 10:05", "AMENDED", 2_600.0)
    assert unreached(desk.store, POLICY.notices, at("2026-11-23 16:00")) == []
    with desk.store.read() as connection:
        assert connection.execute(select(t.notifications.c.status)).scalars().all() == [
            "DELIVERED",
            "PENDING",
        ]


@pytest.mark.parametrize(
    ("increase", "digest"),
    [
        ("2026-11-23 09:30", "2026-11-23 16:15"),
        ("2026-11-23 16:15", "2026-11-23 16:15"),
        ("2026-11-23 16:16", "2026-11-24 16:15"),
        ("2026-11-25 18:00", "2026-11-27 13:15"),  # Thanksgiving, then an early close
        ("2026-11-26 12:00", "2026-11-27 13:15"),
        ("2026-11-27 13:16", "2026-11-30 16:15"),
        ("2026-11-28 12:00", "2026-11-30 16:15"),
    ],
)
def test_a_digest_goes_out_15_minutes_after_a_close(increase: str, digest: str) -> None:
    assert digest_at(at(increase)) == at(digest)


def test_no_question_about_notices_passes_over_all_that_were_ever_sent(desk: Desk) -> None:
    """A demo's crash leaves 20,000 an hour, and three sensors ask three times a second."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        if statement.startswith("SELECT") and "FROM notifications" in statement:
            asked.append((statement, parameters))

    for engine in (desk.store.engine, desk.store._readers):
        event.listen(engine, "before_cursor_execute", note)
    desk.hear("2026-11-23 10:00", "MARGIN_CALL", 2_500.0)
    desk.hear("2026-11-23 11:00", "AMENDED", 2_600.0)
    desk.wake("2026-11-23 16:15")
    next_due(desk.store)
    assert desk.subjects == ["Margin call", "Margin call increased"]
    with desk.store.read() as connection:
        raw = connection.connection.cursor()
        plans = {
            row[-1]: statement
            for statement, parameters in list(asked)
            for row in raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        }
    assert any("notifications_episode" in plan for plan in plans), plans
    assert {plan: sql for plan, sql in plans.items() if plan.startswith("SCAN notifications")} == {}
