"""The morning of an ex-date: what leaves a share leaves its price at the same midnight (LDG-006), and a
dividend that no market can have paid is held by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from margin_platform.contracts.messages import Event
from margin_platform.snapshots.engine import MarginEngine
from tests.support.amended_actions import ANNOUNCED, SPUN, at, opening, printed, said, split
from tests.support.engine_feed import POLICY, Feed, through_bytes
from tests.support.field_cases import fed, stands

CLOSE = printed(100.0, at(7, 16))
MORNING = printed(33.0, at(10, 9, 29), "BBB")


def dividend(amount: float, **more: Any) -> Event:
    return said("d", "DIVIDEND", ANNOUNCED + 2, amount=amount, **more)


def say(feed: Feed, *rows: Event) -> None:
    for row in rows:
        feed.say((row["topic"], row["event"]))


def equity(feed: Feed) -> Any:
    return stands(feed)["equity"]


@pytest.mark.parametrize("shares", [100.0, -100.0, 0.5])
@pytest.mark.parametrize(
    "told",
    [
        [dividend(0.01)],
        [dividend(1.0)],
        [dividend(40.0)],
        [dividend(99.99)],
        [dividend(1.0), split(2)],
        [split(0.1), dividend(3.0)],
        [dividend(1.0, source="one"), said("e", "DIVIDEND", ANNOUNCED + 3, amount=7.0, source="one")],
        [dividend(1.0), said("e", "DIVIDEND", ANNOUNCED + 3, amount=2.0, ex_date="2024-06-07")],
    ],
    ids=["a cent", "one", "two fifths", "nearly all", "and 2 for 1", "and 1 for 10", "two", "two days"],
)
def test_equity_does_not_move_over_the_midnight_of_an_ex_date(told: list[Event], shares: float) -> None:
    feed = fed([*opening(100.0, shares), printed(100.0, at(6, 16)), *told, printed(33.0, at(6, 17), "BBB")])
    before, mark = equity(feed), 98.0 if told[-1]["event"].get("ex_date") == "2024-06-07" else 100.0
    say(feed, printed(mark, at(7, 16)))
    say(feed, MORNING)
    assert (equity(feed), stands(feed)["stale_symbols"]) == (pytest.approx(before, abs=0.011), [])


def test_the_first_print_of_the_ex_date_replaces_the_mark() -> None:
    feed = fed([*opening(100.0, 100.0), dividend(1.0), CLOSE, MORNING])
    assert (feed.price("AAA"), equity(feed)) == (99.0, 10_100.0)
    say(feed, printed(99.4, at(10, 9, 31)))
    assert (feed.price("AAA"), equity(feed)) == (99.4, 10_140.0)


def test_a_print_of_the_day_before_that_is_read_late_is_less_the_dividend() -> None:
    feed = fed([*opening(100.0, 100.0), dividend(2.0), CLOSE, MORNING, printed(101.0, at(7, 16, 1))])
    assert (feed.price("AAA"), equity(feed)) == (99.0, 10_200.0)


@pytest.mark.parametrize("now", [dividend(0.5), dividend(0.5, status="CANCELLED"), dividend(3.0)])
@pytest.mark.parametrize("first", [[], [printed(98.0, at(10, 9, 31))]], ids=["before a print", "after one"])
def test_terms_amended_on_the_ex_date_are_in_the_mark_of_before_it_only(
    now: Event, first: list[Event]
) -> None:
    paid = 0.0 if now["event"].get("status") else now["event"]["amount"]
    later = now | {"event": now["event"] | {"timestamp": at(10, 9, 32)}}
    feed = fed([*opening(100.0, 100.0), dividend(2.0), CLOSE, MORNING, *first, later])
    price = 98.0 if first else 100.0 - paid
    assert (feed.price("AAA"), equity(feed)) == (price, 100.0 + 100 * (price + paid))
    assert stands(feed)["stale_symbols"] == []


def test_a_dividend_announced_after_the_first_print_is_booked_and_the_print_stands() -> None:
    late = dividend(2.0)
    late = late | {"event": late["event"] | {"timestamp": at(10, 12)}}
    feed = fed([*opening(100.0, 100.0), CLOSE, printed(98.0, at(10, 11, 30)), late])
    assert (feed.price("AAA"), equity(feed), stands(feed)["stale_symbols"]) == (98.0, 10_100.0, [])


def test_a_large_dividend_announced_late_explains_the_print_set_aside_for_it() -> None:
    late = dividend(40.0)
    late = late | {"event": late["event"] | {"timestamp": at(10, 9, 32)}}
    feed = fed([*opening(100.0, 100.0), CLOSE, printed(60.5, at(10, 9, 31))])
    assert (equity(feed), stands(feed)["stale_symbols"]) == (10_100.0, ["AAA"])
    say(feed, late)
    assert (equity(feed), stands(feed)["stale_symbols"]) == (10_150.0, [])


@pytest.mark.parametrize("former", [50.0, 20.0, 100.0, 1.0])
def test_a_parent_is_held_until_its_first_price_without_what_was_spun_off(former: float) -> None:
    """BBB trades already: at its price and the parent's of before, the holder would have both twice."""
    known = printed(former, at(7, 16), "BBB")
    feed = fed([*opening(100.0, 100.0), CLOSE, known, said("s", "SPIN_OFF", ANNOUNCED + 2, **SPUN)])
    say(feed, printed(former, at(10, 9, 29), "BBB"))
    assert stands(feed)["stale_symbols"] == ["AAA"]
    say(feed, printed(80.0, at(10, 9, 31)))
    assert (equity(feed), stands(feed)["stale_symbols"]) == (100.0 + 8_000.0 + 100 * former, [])


FORMER = said("former", "DIVIDEND", ANNOUNCED + 1, amount=0.5, ex_date="2024-03-11")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ([dividend(100.0)], "DIVIDEND of AAA on 2024-06-10: 100.0000 a share is no less than its price"),
        ([dividend(250.0)], "DIVIDEND of AAA on 2024-06-10: 250.0000 a share is no less than its price"),
        ([FORMER, dividend(50.0)], "50.0 a share after 0.5 on 2024-03-11, as in another unit"),
        ([FORMER, dividend(0.005)], "0.005 a share after 0.5 on 2024-03-11, as in another unit"),
        ([FORMER, dividend(49.6)], "49.6 a share after 0.5 on 2024-03-11, as in another unit"),
        ([dividend(50.0)], "its dividend of 50.0000 a share has not left the price"),
        ([dividend(25.0)], "its dividend of 25.0000 a share has not left the price"),
        ([dividend(11.0)], "its dividend of 11.0000 a share has not left the price"),
        ([dividend(30.0), split(2)], "its dividend of 15.0000 a share has not left the price"),
    ],
)
def test_a_dividend_in_cents_is_held_by_name(told: list[Event], reason: str) -> None:
    after = 49.8 if len(told) == 2 and told[1]["event"]["kind"] == "SPLIT" else 99.6
    prints = [printed(after, at(10, 9, minute)) for minute in (31, 32, 33)]
    feed = fed([*opening(100.0, 100.0), *told, CLOSE, MORNING, *prints])
    event = feed.engine.account_now("A")
    assert reason in event["held"]
    assert event["stale_symbols"] == ["AAA"]


@pytest.mark.parametrize(
    "told",
    [
        [FORMER, dividend(0.5)],
        [FORMER, dividend(5.0)],
        [FORMER, dividend(7.5)],
        [FORMER, said("s", "SPLIT", ANNOUNCED, ratio=0.01, ex_date="2024-04-01"), dividend(50.0)],
        [
            FORMER,
            dividend(50.0, source="two"),
            said("e", "DIVIDEND", ANNOUNCED + 3, amount=50.0, source="one"),
        ],
    ],
    ids=["the same", "ten times", "a special one", "after 1 for 100", "said by two sources"],
)
def test_a_dividend_that_a_market_can_have_paid_is_not_held(told: list[Event]) -> None:
    left = 100.0 - max(row["event"].get("amount", 0.0) for row in told[1:])
    prints = [printed(left, at(10, 9, minute)) for minute in (31, 32)]
    feed = fed([*opening(100.0, 100.0), *told, CLOSE, MORNING, *prints])
    assert (stands(feed)["stale_symbols"], feed.price("AAA")) == ([], left)


@pytest.mark.parametrize(
    "sure",
    [
        dividend(0.25, version=2),
        dividend(25.0, version=2, status="CANCELLED"),
        printed(99.5, at(10, 9, 40)) | {"confirmed": True},
        printed(75.4, at(10, 9, 40)),
    ],
    ids=["amended", "cancelled", "confirmed", "borne out"],
)
@pytest.mark.parametrize("restart", [None, 8])
def test_what_ends_the_hold_of_a_dividend_that_has_not_left_the_price(
    sure: Event, restart: int | None
) -> None:
    rows = [*opening(100.0, 100.0), dividend(25.0, version=1), CLOSE, MORNING, printed(99.6, at(10, 9, 31))]
    feed = fed(rows, restart_after=restart)
    assert stands(feed)["stale_symbols"] == ["AAA"]
    later = {"timestamp": at(10, 9, 40)} | ({"confirmed": True} if sure.get("confirmed") else {})
    feed.say((sure["topic"], sure["event"] | later))
    assert stands(feed)["stale_symbols"] == []


def test_a_state_saved_before_marks_were_less_dividends_is_brought_in_line() -> None:
    feed = fed([*opening(100.0, 100.0), dividend(1.0), CLOSE, MORNING])
    state = through_bytes(feed.engine.to_state())
    gate = {n: v for n, v in state["market"]["gate"].items() if n not in ("adjustments", "spin_offs")}
    gate |= {"splits": {}, "payouts": {"AAA": [[at(10, 0), 1.0]]}}
    kept = {
        "gate": gate,
        "price": np.where(state["market"]["price"] == 99.0, 100.0, state["market"]["price"]),
    }
    feed.engine = MarginEngine(feed.instruments, POLICY)
    feed.engine.restore(state | {"market": state["market"] | kept})
    assert (feed.price("AAA"), equity(feed)) == (99.0, 10_100.0)


@pytest.mark.parametrize("amount", [11.5, 25.0, 250.0])
@pytest.mark.parametrize("shares", [100.0, -100.0])
def test_a_large_dividend_announced_after_the_prices_of_its_day_opens_no_call(
    amount: float, shares: float
) -> None:
    late = dividend(amount)
    late = late | {"event": late["event"] | {"timestamp": at(10, 12)}}
    feed = fed([*opening(100.0, shares), CLOSE, printed(99.5, at(10, 11, 30)), late])
    event = feed.engine.account_now("A")
    assert "became known after the prices of its ex-date" in event["held"]
    assert feed.decisions("A")[-1] == "HELD"
    feed.say(("prices.v1", printed(99.6, at(10, 12, 5))["event"] | {"confirmed": True}))
    assert stands(feed)["stale_symbols"] == []


BELIED = [
    ("DIVIDEND", {"amount": 1_001.0}, "10 times the last price"),
    ("DIVIDEND", {"amount": 99_999.0}, "1,000 times the last price"),
    ("CASH_MERGER", {"amount": 10_400.0}, "104 times the last price"),
    ("CASH_MERGER", {"amount": 1.04}, "1/96 of the last price"),
    ("STOCK_MERGER", {"amount": 7_125.0, "new_symbol": "BBB", "ratio": 0.126}, "71 times the last price"),
    ("DELISTING", {"amount": 4_000.0}, "40 times the last price"),
    ("DELISTING", {"amount": 10_604.0}, "106 times the last price"),
    ("DIVIDEND", {"amount": 5_000.0, "version": 2}, "50 times the last price"),
]


@pytest.mark.parametrize(("kind", "terms", "reason"), BELIED)
def test_an_amount_that_the_price_belies_is_refused_by_name(
    kind: str, terms: dict[str, Any], reason: str
) -> None:
    """Nothing is booked: a merger at 104 times the price would make a call, or hide one."""
    feed = fed([*opening(100.0, 100.0), said("d", kind, ANNOUNCED + 2, **terms), CLOSE, MORNING])
    (letter,) = [letter for outcome in feed.outcomes for letter in outcome.dead]
    assert (letter["field"], letter["value"]) == ("amount", str(terms["amount"]))
    assert reason in letter["reason"]
    assert (stands(feed)["positions"], equity(feed)) == ({"AAA": 100.0}, 10_100.0)


@pytest.mark.parametrize(
    "told",
    [
        [said("d", "CASH_MERGER", ANNOUNCED + 2, amount=180.0)],
        [said("d", "CASH_MERGER", ANNOUNCED + 2, amount=11.0)],
        [said("d", "DELISTING", ANNOUNCED + 2, amount=0.0)],
        [said("d", "DELISTING", ANNOUNCED + 2, amount=0.01)],
        [said("d", "STOCK_MERGER", ANNOUNCED + 2, amount=1.0, new_symbol="BBB", ratio=2)],
        # dollars on the shares of after it
        [
            split(0.01, ANNOUNCED + 2, ex_date="2024-06-07"),
            said("d", "DIVIDEND", ANNOUNCED + 3, amount=2_000.0),
        ],
    ],
)
def test_an_amount_that_a_market_can_pay_is_kept(told: list[Event]) -> None:
    feed = fed([*opening(100.0, 100.0), *told])
    assert [letter for outcome in feed.outcomes for letter in outcome.dead] == []


def test_an_amount_that_was_belied_is_taken_once_it_is_put_right() -> None:
    wrong, right = (said("m", "CASH_MERGER", ANNOUNCED + n, amount=a) for n, a in ((2, 9_500.0), (3, 95.0)))
    feed = fed([*opening(94.4, 100.0), wrong, right, MORNING])
    assert (stands(feed)["positions"], equity(feed)) == ({}, 9_600.0)
