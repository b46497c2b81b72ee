"""Late, repeated, out of order, corrected:
what the margin engine makes of it, and once what the real stream makes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    CORPORATE_ACTIONS,
    DEAD_LETTER,
    FILLS,
    MARGIN_CALC,
    PRICES,
    Event,
)
from margin_platform.kernel.market import Instrument
from tests.support.engine_feed import Feed
from tests.support.market_day import OPEN, seed, send
from tests.support.running import Running

DAY = 86_400_000  # OPEN is a Friday


def print_of(price: float, second: int = 0, symbol: str = "X", **more: Any) -> tuple[str, Event]:
    return PRICES, {"symbol": symbol, "price": price, "timestamp": OPEN + second * 1000} | more


def fill(
    fill_id: str, qty: float, second: int = 0, account: str = "a", symbol: str = "X"
) -> tuple[str, Event]:
    event = {"fill_id": fill_id, "account_id": account, "symbol": symbol, "qty": qty, "price": 100.0}
    return FILLS, event | {"timestamp": OPEN + second * 1000}


def account_of(name: str) -> tuple[str, Event]:
    return ACCOUNTS, {"account_id": name, "margin_type": "REG_T", "timestamp": OPEN}


def deposit(transfer_id: str, amount: float, account: str = "a") -> tuple[str, Event]:
    return CASH, {"transfer_id": transfer_id, "account_id": account, "amount": amount, "timestamp": OPEN}


def action(kind: str, ex_date: str, second: int = 0, **terms: Any) -> tuple[str, Event]:
    event = {
        "action_id": f"{kind} {ex_date}",
        "symbol": "X",
        "kind": kind,
        "ex_date": ex_date,
        "timestamp": OPEN + second * 1000,
    }
    return CORPORATE_ACTIONS, event | terms


@pytest.fixture
def feed() -> Feed:
    """Account a: 100 shares of X at 100 dollars, bought for 10,000, with 3,500 borrowed;
    Y is another name.
    """
    opened = Feed([Instrument(symbol="X", beta=0.1), Instrument(symbol="Y", beta=0.1)])
    opened.say(account_of("a"), deposit("t", 6_500.0), fill("f", 100), print_of(100.0))
    return opened


def test_the_newest_price_is_the_one_of_the_latest_event_time_whatever_arrives_last(feed: Feed) -> None:
    feed.say(print_of(103.0, 3))
    outcome = feed.say(print_of(101.0, 1), partition=1)
    assert feed.price("X") == 103.0
    assert outcome.calc == []


def test_of_prints_of_one_millisecond_the_sources_sequence_decides_and_without_one_the_offset(
    feed: Feed,
) -> None:
    feed.say(print_of(103.0, 3, sequence=8))
    feed.say(print_of(101.0, 3, sequence=7), partition=1)
    assert feed.price("X") == 103.0
    feed.restart()
    feed.say(print_of(101.0, 3, sequence=7), partition=1)
    assert feed.price("X") == 103.0
    feed.say(print_of(104.0, 3, sequence=9))
    assert feed.price("X") == 104.0
    feed.say(print_of(105.0, 3))
    assert feed.price("X") == 105.0


def test_an_older_sequence_neither_confirms_nor_clears_a_print_that_was_set_aside(feed: Feed) -> None:
    feed.say(print_of(55.0, 3, sequence=8))
    feed.say(print_of(101.0, 3, sequence=7), partition=1)
    assert feed.price("X") == 101.0
    assert list(feed.engine.live.gate.suspects) == [0]


def test_a_duplicate_is_ignored_and_named_across_a_restart_too(feed: Feed) -> None:
    feed.restart()
    outcome = feed.say(fill("f", 100), deposit("t", 6_500.0))
    assert {(d["field"], d["reason"]) for d in outcome.dead} == {
        ("fill_id", "duplicate id"),
        ("transfer_id", "duplicate id"),
    }
    assert feed.engine.ledger.positions("a") == {"X": 100.0}
    assert feed.engine.ledger.cash("a") == -3_500.0
    assert outcome.calc == []


def test_records_read_again_after_a_restart_are_skipped(feed: Feed) -> None:
    before = feed.engine.ledger.cash("a")
    again = Feed(feed.instruments)
    again.engine.restore(feed.engine.to_state())
    # the same offsets
    outcome = again.say(account_of("a"), deposit("t", 6_500.0), fill("f", 100), print_of(100.0))
    assert (outcome.records, outcome.dead, again.engine.ledger.cash("a")) == (0, [], before)


def test_a_late_fill_evaluates_its_account_anew_at_the_current_price(feed: Feed) -> None:
    feed.say(print_of(98.0, 60))
    (event,) = feed.say(fill("late", 50, second=1)).calc
    assert (event["account_id"], event["gross_mv"], event["calc_timestamp"]) == (
        "a",
        150 * 98.0,
        OPEN + 60_000,
    )


def test_a_fill_of_before_a_split_that_is_read_after_it_is_split_too(feed: Feed) -> None:
    feed.say(action("SPLIT", "2020-02-24", ratio=2.0), print_of(50.0, 3 * 86_400))
    feed.say(fill("late", 10, second=1))
    assert feed.engine.ledger.positions("a") == {"X": 220.0}


def test_a_busted_print_is_superseded_and_the_events_that_rested_on_it_are_named(feed: Feed) -> None:
    feed.say(print_of(70.0, 1))  # -30%: plausible, so used
    feed.say(print_of(52.0, 2))
    fixed = feed.say(print_of(53.0, 3, correction=True, corrects_timestamp=OPEN + 2000))
    (event,) = fixed.status  # still a call, on another price: published again, with what was withdrawn
    assert (event["status"], event["gross_mv"]) == ("MARGIN_CALL", 5_300.0)
    assert (event["corrected_symbols"], event["corrected_since"]) == (["X"], OPEN + 2000)
    assert feed.decisions("a")[-1] == "CALL_RESTATED"  # less is owed at 53 than the 52 that was called for
    feed.say(print_of(100.0, 4, correction=True, corrects_timestamp=OPEN + 2000))
    assert feed.decisions("a")[-1] == "RESCINDED"


def test_a_correction_older_than_the_price_in_use_leaves_it_and_is_still_told_to_those_in_a_call(
    feed: Feed,
) -> None:
    feed.say(print_of(70.0, 1))
    feed.say(print_of(52.0, 3))
    told = feed.say(print_of(72.0, 2, correction=True, corrects_timestamp=OPEN + 1000), partition=1)
    assert feed.price("X") == 52.0
    assert [(e["account_id"], e["corrected_symbols"]) for e in told.status] == [("a", ["X"])]


@pytest.mark.parametrize("kind", ["SPLIT", "DIVIDEND"])
def test_an_action_announced_ahead_counts_from_its_day_on_the_event_clock_across_a_restart(
    feed: Feed, kind: str
) -> None:
    feed.say(action(kind, "2020-02-25", second=1, ratio=2.0, amount=1.0))
    assert feed.say(print_of(101.0, 2)).calc[-1]["gross_mv"] == 10_100.0  # Friday: nothing of it yet
    assert feed.engine.ledger.cash("a") == -3_500.0
    feed.restart()
    feed.say(print_of(30.0, 4 * 86_400, symbol="Y"))  # Tuesday, by another name's print
    assert feed.engine.ledger.positions("a") == {"X": 200.0 if kind == "SPLIT" else 100.0}
    assert feed.price("X") == (
        50.5 if kind == "SPLIT" else 100.0
    )  # what the dividend pays has left the price
    assert feed.engine.ledger.cash("a") == (-3_500.0 if kind == "SPLIT" else -3_400.0)
    feed.say(action(kind, "2020-02-25", second=1, ratio=2.0, amount=1.0))  # delivered again
    assert feed.engine.ledger.positions("a") == {"X": 200.0 if kind == "SPLIT" else 100.0}


def test_a_print_of_before_a_split_that_is_read_after_it_is_put_on_the_new_shares(feed: Feed) -> None:
    feed.say(action("SPLIT", "2020-02-24", second=1, ratio=2.0))
    feed.say(print_of(30.0, 3 * 86_400, symbol="Y"))  # Monday
    feed.say(print_of(104.0, 60), partition=1)  # X's last print of Friday
    assert feed.price("X") == 52.0
    assert feed.engine.live.gate.suspects == {}


def test_a_split_repeated_before_its_symbol_has_a_price_changes_nothing_later(feed: Feed) -> None:
    split = (CORPORATE_ACTIONS, action("SPLIT", "2020-02-21", ratio=2.0)[1] | {"symbol": "Y"})
    feed.say(split)
    feed.say(print_of(30.0, 1, symbol="Y"))
    feed.say(split)
    assert (feed.price("Y"), feed.engine.live.gate.suspects) == (30.0, {})


def test_what_waits_for_its_account_is_booked_past_a_bad_record_among_it(feed: Feed) -> None:
    feed.say(
        fill("bad", 5, account="b", symbol="NOPE"),
        fill("good", 5, account="b"),
        deposit("t2", 900.0, account="b"),
    )
    outcome = feed.say(account_of("b"))
    assert [(d["topic"], d["offset"], d["field"]) for d in outcome.dead] == [(FILLS, 1, "symbol")]
    assert feed.engine.ledger.positions("b") == {"X": 5.0}
    assert feed.engine.ledger.cash("b") == 400.0


def test_a_split_too_large_to_book_is_reported_and_leaves_its_symbol_usable(feed: Feed) -> None:
    feed.say(fill("huge", 9e8, second=2))
    outcome = feed.say(action("SPLIT", "2020-02-24", second=3, ratio=100_000.0), print_of(99.0, 3 * 86_400))
    assert [(d["topic"], d["raw"][:12]) for d in outcome.dead] == [(CORPORATE_ACTIONS, '{"action_id"')]
    assert feed.say(fill("next", 1, second=3 * 86_400)).dead == []
    assert feed.engine.ledger.positions("a") == {"X": 9e8 + 101}


@pytest.mark.parametrize(
    ("topic", "name"),
    [(PRICES, "corrects_timestamp"), (PRICES, "sequence"), (CORPORATE_ACTIONS, "post_price")],
)
def test_an_optional_field_of_the_wrong_kind_is_a_dead_letter_and_stops_nothing(
    feed: Feed, topic: str, name: str
) -> None:
    message = (
        print_of(101.0, 1, correction=True) if topic == PRICES else action("SPLIT", "2020-02-21", ratio=2.0)
    )
    outcome = feed.say((topic, message[1] | {name: "soon"}))
    assert [d["field"] for d in outcome.dead] == [name]


@pytest.mark.kafka
@pytest.mark.spark
def test_the_real_stream_takes_what_is_late_repeated_and_corrected(
    running: Running, until: Callable[..., Any], events_of: Callable[[str], list[Event]]
) -> None:
    bus = running.bus

    def last() -> Event:
        return {e["account_id"]: e for e in events_of(MARGIN_CALC)}.get("A0000", {})

    def tick(price: float, second: int, **more: Any) -> None:
        send(bus, [(PRICES, {"symbol": "AAPL", "price": price, "timestamp": OPEN + second * 1000} | more)])

    running.start()
    send(bus, seed(1))  # A0000: 60 AAPL at 80, 40 MSFT at 180, short 20 KO at 59
    until(lambda: last().get("long_mv") == 60 * 80.0 + 40 * 180.0, "the opening figures")
    tick(75.0, 20, sequence=3)
    tick(79.0, 10, sequence=2)  # late
    tick(74.0, 20, sequence=2)  # of the same millisecond, but before
    send(bus, [e for e in seed(1) if e[0] == FILLS])  # repeated
    late = {
        "fill_id": "late",
        "account_id": "A0000",
        "symbol": "AAPL",
        "qty": 10,
        "price": 80.0,
        "timestamp": OPEN,
    }
    send(bus, [(FILLS, late)])
    until(lambda: last().get("long_mv") == 70 * 75.0 + 40 * 180.0, "the newest price and the late fill")
    until(lambda: len(events_of(DEAD_LETTER)) == 3, "three repeated fills named")
    tick(72.0, 30)
    tick(75.5, 31, correction=True, corrects_timestamp=OPEN + 30_000)
    until(lambda: last().get("long_mv") == 70 * 75.5 + 40 * 180.0, "the corrected price")
