"""Calls, restrictions and notices as the page's server keeps them: each once, late ones past due."""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.dashboard.state.account_row import RowFlag
from margin_platform.dashboard.state.ladder_feed import LadderLog, instant
from tests.support.page_rows import calc, newest_rows


def test_a_restriction_makes_a_cured_account_red_until_it_is_lifted() -> None:
    """Two tracks, the worse decides: equity recovered, but the account may still only close."""
    subject = newest_rows()
    subject.apply(
        [
            ("margin.calc.v1", 0, calc("A")),
            ("restrictions.v1", 0, {"account_id": "A", "action": "CLOSE_ONLY"}),
        ]
    )
    assert subject.summary()["colors"]["red"] == 1
    subject.apply([("restrictions.v1", 0, {"account_id": "A", "action": "LIFTED"})])
    assert subject.summary()["colors"]["green"] == 1


def test_a_call_delivered_twice_is_one_call_and_one_line() -> None:
    log, call = (
        LadderLog(),
        {"account_id": "A", "call_id": "C", "action": "MARGIN_CALL", "due_at": "2020-03-18T15:00:00-04:00"},
    )
    for sequence in (1, 2):
        log.apply("margin.calls.v1", call, sequence)
    assert len(log.open_calls) == len(log.feed) == 1
    assert log.next_due(None) == {"account_id": "A", "due_at": call["due_at"]}
    log.apply("margin.calls.v1", {"account_id": "A", "call_id": "C", "action": "MET"}, 3)
    assert not log.open_calls


def test_a_call_past_due_leaves_the_next_due_time_to_those_that_can_still_be_met() -> None:
    log = LadderLog()
    for account, day in (("A", "2020-03-17"), ("B", "2020-03-18")):
        call = {
            "account_id": account,
            "call_id": account,
            "action": "MARGIN_CALL",
            "due_at": f"{day}T15:00:00-04:00",
        }
        log.apply("margin.calls.v1", call, 1)
    log.apply("margin.calls.v1", {"account_id": "A", "call_id": "A", "action": "EXPIRED"}, 2)
    assert (log.next_due(None), log.past_due(None)) == (
        {"account_id": "B", "due_at": "2020-03-18T15:00:00-04:00"},
        1,
    )
    assert set(log.open_calls) == {"A", "B"}


@pytest.mark.parametrize("amendments", range(1, 9))
def test_a_call_amended_after_its_due_time_stays_past_due(amendments: int) -> None:
    subject = newest_rows()
    call = {
        "account_id": "A",
        "call_id": "C1",
        "action": "MARGIN_CALL",
        "due_at": "2020-03-17T15:00:00-04:00",
    }
    steps = [call, call | {"action": "EXPIRED"}, *([call | {"action": "AMENDED"}] * amendments)]
    subject.apply(
        [
            ("margin.calc.v1", 0, calc("A")),
            *(("margin.calls.v1", 0, step | {"event_id": n}) for n, step in enumerate(steps)),
        ]
    )
    summary = subject.summary()
    assert (summary["calls_open"], summary["past_due"], summary["next_due"]) == (1, 1, None)
    assert subject.log.flags("A") & RowFlag.PAST_DUE
    subject.apply(
        [("margin.calls.v1", 0, {"account_id": "A", "call_id": "C1", "event_id": "met", "action": "MET"})]
    )
    assert (subject.summary()["past_due"], subject.log.flags("A")) == (0, 0)
    newer = call | {"call_id": "C2", "event_id": "C2", "due_at": "2020-03-25T15:00:00-04:00"}
    subject.apply([("margin.calls.v1", 0, newer)])
    assert (subject.summary()["past_due"], subject.summary()["next_due"]) == (
        0,
        {"account_id": "A", "due_at": newer["due_at"]},
    )


def test_a_due_time_in_the_past_is_past_due_before_enforcement_says_so() -> None:
    log = LadderLog()
    log.apply(
        "margin.calls.v1",
        {"account_id": "A", "call_id": "C", "action": "MARGIN_CALL", "due_at": "2020-03-17T15:00:00-04:00"},
        1,
    )
    due = 1_584_471_600_000
    assert [(log.next_due(at) is None, log.past_due(at)) for at in (due - 1, due)] == [(False, 0), (True, 1)]


@pytest.mark.parametrize("early", [True, False], ids=["read before its call", "read after it"])
def test_a_notification_is_the_delivery_state_of_the_very_step_it_told_about(early: bool) -> None:
    """Topics have no order between them; and all steps of an episode share its correlation id, so the rung
    decides.
    """
    call = {"account_id": "A", "call_id": "C", "action": "MARGIN_CALL", "correlation_id": "E"}
    steps = [
        ("margin.calls.v1", call),
        ("margin.calls.v1", call | {"action": "AMENDED"}),
        ("restrictions.v1", {"account_id": "A", "action": "CLOSE_ONLY", "correlation_id": "E"}),
    ]
    notice = {
        "account_id": "A",
        "notification_id": "N",
        "correlation_id": "E",
        "rung": "margin.calls.v1:MARGIN_CALL:0",
        "channel": "sms",
    }
    notices = [("notifications.v1", notice | {"status": status}) for status in ("PENDING", "DELIVERED")]
    log = LadderLog()
    for number, (topic, event) in enumerate([*notices, *steps] if early else [*steps, *notices], start=1):
        log.apply(topic, event, number)
    told = {
        (i["kind"], i["action"]): [(d["channel"], d["status"]) for d in i["delivery"]]
        for i in log.changed_since(0)
    }
    assert told["call", "MARGIN_CALL"] == [("sms", "DELIVERED")]
    assert told["call", "AMENDED"] == told["restriction", "CLOSE_ONLY"] == []


@pytest.mark.parametrize("due", ["tomorrow", "2020-03-18T15:00:00", True, None, {}])
def test_a_due_time_without_a_zone_or_sense_is_no_due_time(due: Any) -> None:
    assert instant(due) is None
