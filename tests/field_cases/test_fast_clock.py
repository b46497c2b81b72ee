"""Field cases 12 and 15: a producer whose clock is fast, and a null value on the topic of accounts."""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.contracts import offsets
from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    PRICES,
    TOPICS,
    VOLATILITY,
    BadEvent,
    check_time,
    decode,
)
from margin_platform.kafka.topic_admin import configuration
from tests.support.recorded import Replay, replayed

T = 1_704_816_000_000
MINUTE = 60_000
DAY = 86_400_000


def _price(symbol: str, price: float, at: int) -> dict[str, Any]:
    return {"topic": PRICES, "event": {"symbol": symbol, "price": price, "timestamp": at}}


def test_a_fast_host_does_not_freeze_its_symbol() -> None:
    replay = replayed("12-fast-producer-clock/events.jsonl")
    assert replay.figures("A") == {
        "equity": 2000.0,
        "requirement": 2450.0,
        "excess": -450.0,
        "status": "MARGIN_CALL",
    }
    assert replay.decisions("A")[-1] == "CALL"


def test_a_host_a_year_ahead_does_not_age_the_prices_of_others() -> None:
    replay = replayed("12-fast-producer-clock/a_year_ahead.jsonl")
    assert replay.figures("A") == {
        "equity": 4000.0,
        "requirement": 5600.0,
        "excess": -1600.0,
        "status": "MARGIN_CALL",
    }
    assert replay.decisions("A")[-1] == "CALL"
    assert replay.engine.event_time < T + 10 * MINUTE


@pytest.mark.parametrize(
    "ahead", [2 * MINUTE, 40 * MINUTE, 59 * MINUTE, 5 * 60 * MINUTE, DAY, 9 * DAY, 30 * DAY, 366 * DAY]
)
def test_however_far_ahead_the_prints_after_it_count(ahead: int) -> None:
    replay = Replay("AAA", "BBB")
    for row in (_price("AAA", 50, T), _price("BBB", 20, T), _price("AAA", 50, T + ahead)):
        replay.take(row)
    for minute in (1, 2, 3):
        replay.take(_price("AAA", 50 - minute, T + minute * 10_000))
        replay.take(_price("BBB", 20 + minute, T + minute * 10_000))
    live = replay.engine.live
    assert live.market.price.tolist() == [47.0, 23.0]
    assert not live.market.stale.any()
    assert replay.engine.event_time == T + 30_000


@pytest.mark.parametrize(
    "late", [1_000, 30_000, 59_000, 10 * MINUTE, 40 * MINUTE, 6 * 60 * MINUTE, DAY, 2 * DAY]
)
def test_one_print_that_is_only_late_changes_nothing(late: int) -> None:
    replay = Replay("AAA")
    for row in (_price("AAA", 50, T), _price("AAA", 55, T + 3 * DAY), _price("AAA", 40, T + 3 * DAY - late)):
        replay.take(row)
    assert float(replay.engine.market.price[0]) == 55.0
    assert replay.engine.event_time == T + 3 * DAY


def test_the_clock_is_the_same_after_a_restart() -> None:
    replay = Replay("AAA")
    for row in (_price("AAA", 50, T), _price("AAA", 50, T + 40 * MINUTE), _price("AAA", 49, T + MINUTE)):
        replay.take(row)
    again = Replay("AAA")
    again.engine.restore(replay.engine.to_state())
    again._offsets.update({PRICES: 3})
    again.take(_price("AAA", 48, T + 2 * MINUTE))
    assert float(again.engine.market.price[0]) == 48.0
    assert again.engine.event_time == T + 2 * MINUTE


FIGURES = [(BETAS, "beta", 1.0, 1.4, 1.2), (VOLATILITY, "volatility_annual", 0.3, 0.5, 0.4)]


@pytest.mark.parametrize("ahead", [2 * MINUTE, 40 * MINUTE, DAY, 30 * DAY, 366 * DAY])
@pytest.mark.parametrize(("topic", "field", "known", "fast", "honest"), FIGURES)
def test_a_beta_or_volatility_of_a_fast_host_does_not_freeze_its_symbol(
    topic: str, field: str, known: float, fast: float, honest: float, ahead: int
) -> None:
    """The second honest figure after it counts: one alone may only be late."""
    replay = Replay("AAA")

    def said(value: float, at: int) -> float:
        replay.take({"topic": topic, "event": {"symbol": "AAA", field: value, "timestamp": at}})
        return float((replay.engine.market.beta if topic == BETAS else replay.engine.market.sigma)[0])

    assert [said(known, T), said(fast, T + ahead)] == [known, fast]
    assert [said(honest, T + 10_000), said(honest, T + 20_000)] == [fast, honest]


@pytest.mark.parametrize("late", [1_000, 59_000, 10 * MINUTE, DAY])
@pytest.mark.parametrize(("topic", "field", "known", "newer", "older"), FIGURES)
def test_one_figure_that_is_only_late_changes_nothing(
    topic: str, field: str, known: float, newer: float, older: float, late: int
) -> None:
    replay = Replay("AAA")
    for value, at in (
        (known, T),
        (newer, T + 3 * DAY),
        (older, T + 3 * DAY - late),
        (newer, T + 3 * DAY + 1),
    ):
        replay.take({"topic": topic, "event": {"symbol": "AAA", field: value, "timestamp": at}})
    replay.take({"topic": topic, "event": {"symbol": "AAA", field: older, "timestamp": T + 3 * DAY - late}})
    assert float((replay.engine.market.beta if topic == BETAS else replay.engine.market.sigma)[0]) == newer


def test_the_readers_own_clock_bounds_the_time_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast host stamps its records with the same clock: an event is held against the earlier of both."""
    monkeypatch.setattr(offsets.time, "time", lambda: T / 1000)
    event = {"symbol": "AAA", "price": 50.0, "timestamp": T + 40 * MINUTE}
    with pytest.raises(BadEvent, match="timestamp"):
        check_time(event, offsets.not_after_now(T + 40 * MINUTE), 5)
    check_time(event | {"timestamp": T}, offsets.not_after_now(T), 5)


def test_the_broker_stamps_every_record_itself() -> None:
    assert {configuration(topic)["message.timestamp.type"] for topic in TOPICS.values()} == {"LogAppendTime"}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_null_value_deletes_nothing_live_or_on_a_rebuild(topic: str) -> None:
    """It is refused by every reader, and no topic is compacted:
    what it would have deleted is still there to be read again.
    """
    with pytest.raises(BadEvent, match="empty message: a null deletes nothing"):
        decode(topic, None)
    assert configuration(TOPICS[topic])["cleanup.policy"] == "delete"


def test_an_account_is_the_same_live_and_rebuilt_when_a_null_was_sent_for_it() -> None:
    live = replayed("15-account-tombstone/running.jsonl")
    assert live.refused() == [(ACCOUNTS, "value")]
    assert (live.figures("A")["equity"], live.engine.ledger.positions("A")) == (5000.0, {"AAA": 10.0})
    assert configuration(TOPICS[ACCOUNTS])["retention.ms"] == "-1"


def test_what_a_compacted_topic_lost_is_named_and_comes_back_with_the_account() -> None:
    """The account's record is gone: its cash and fill wait, each named in a dead letter, and are booked
    with the account.
    """
    rebuilt = replayed("15-account-tombstone/rebuilt_after_compaction.jsonl")
    assert rebuilt.refused() == [(ACCOUNTS, "value")]
    waiting = rebuilt.engine.early.overdue(before_ms=1_704_816_060_000)
    assert [(letter["topic"], letter["field"], letter["value"]) for letter in waiting] == [
        ("cash.v1", "account_id", "A"),
        ("fills.v1", "account_id", "A"),
    ]
    assert {letter["reason"] for letter in waiting} == {"unknown account; applied if it is announced later"}
    terms = {"account_id": "A", "margin_type": "REG_T", "timestamp": 1_704_816_120_000}
    rebuilt.take({"topic": ACCOUNTS, "event": terms})
    assert (rebuilt.figures("A")["equity"], rebuilt.engine.ledger.positions("A")) == (5000.0, {"AAA": 10.0})
