"""The simulated venue answers every leg of every order once, at the market,
whatever is repeated or restarted.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from margin_platform.contracts.messages import LIQUIDATION_ORDERS, PRICES, encode
from margin_platform.contracts.offsets import Record
from margin_platform.stack.venue import Venue, readable

ORDER = {
    "order_id": "o1",
    "account_id": "a",
    "positions": [
        {"symbol": "AAPL", "side": "SELL", "qty": 10},
        {"symbol": "KO", "side": "BUY_TO_COVER", "qty": 5},
    ],
}


def _price(symbol: str, price: float, timestamp: int) -> dict:
    return {"symbol": symbol, "price": price, "timestamp": timestamp}


def _venue() -> Venue:
    venue = Venue()
    venue.on_price(_price("AAPL", 60.0, 1000))
    venue.on_price(_price("KO", 50.0, 2000))
    return venue


def test_an_order_is_filled_leg_by_leg_with_signed_quantities() -> None:
    venue = _venue()
    venue.on_order(ORDER)
    first, second = venue.step(), venue.step()
    assert [(f["symbol"], f["qty"], f["price"], f["timestamp"]) for f in first + second] == [
        ("AAPL", -10.0, 60.0, 2000),
        ("KO", 5.0, 50.0, 2000),
    ]
    assert venue.step() == []


def test_a_repeated_order_is_filled_once() -> None:
    venue = _venue()
    for _ in range(3):
        venue.on_order(ORDER)
    fills = venue.step() + venue.step() + venue.step()
    venue.on_order(ORDER)
    assert len(fills) == 2
    assert venue.step() == []


def _own(qty: float, at: int) -> dict[str, object]:
    """The customer's own fill."""
    return {"fill_id": f"own-{at}", "account_id": "a", "symbol": "AAPL", "qty": qty, "timestamp": at}


@pytest.mark.parametrize(("offset", "sold"), [(6, 10.0), (7, 4.0), (8, 4.0)], ids=str)
def test_a_fill_that_the_figures_of_an_order_do_not_know_leaves_less_to_sell(
    offset: int, sold: float
) -> None:
    """It was traded before the order was made; the margin stream had not read it (seed 5014)."""
    venue = _venue()
    venue.on_fill(_own(-6.0, 400), offset)
    venue.on_order(ORDER | {"held_before": {"AAPL": 10.0}, "fills_read": 7, "timestamp": 500})
    (fill,) = venue.step()
    assert abs(fill["qty"]) == sold


@pytest.mark.parametrize(("offset", "sold"), [(6, 10.0), (7, 4.0)], ids=["known", "unknown"])
def test_a_bust_that_the_figures_of_an_order_do_not_know_leaves_less_to_sell_once(
    offset: int, sold: float
) -> None:
    venue = _venue()
    venue.on_fill(_own(6.0, 400), 3)
    for n in range(2):  # under two ids
        bust = _own(-6.0, 400) | {"fill_id": f"bust-{n}", "busts": "own-400"}
        venue.on_fill(bust, offset + n)
    venue.on_order(ORDER | {"held_before": {"AAPL": 10.0}, "fills_read": 7, "timestamp": 500})
    (fill,) = venue.step()
    assert abs(fill["qty"]) == sold


def test_an_order_whose_fill_is_busted_is_not_filled_again() -> None:
    venue = _venue()
    venue.on_order(ORDER)
    fills = venue.step() + venue.step()
    for number, fill in enumerate(fills):
        venue.on_fill(fill, number)
        bust = fill | {"fill_id": f"b{number}", "qty": -fill["qty"], "busts": fill["fill_id"]}
        venue.on_fill(bust, 10 + number)
    venue.on_order(ORDER)
    assert venue.step() == []


@given(st.lists(st.tuples(st.integers(300, 700), st.integers(-9, 9), st.booleans()), max_size=6))
def test_an_order_that_does_not_name_the_fills_it_knows_is_cut_by_their_times(
    fills: list[tuple[int, int, bool]],
) -> None:
    """An order of an older version: what was traded elsewhere after it was made leaves less to sell."""
    venue = _venue()
    for n, (at, qty, here) in enumerate(fills):
        made_here = {"venue": "SIMULATED", "order_id": "before"} if here else {}
        venue.on_fill(_own(float(qty), at) | {"fill_id": f"f{n}"} | made_here, n)
    venue.on_order(ORDER | {"held_before": {"AAPL": 10.0}, "timestamp": 500})
    left = 10.0 + sum(qty for at, qty, here in fills if at > 500 and not here)
    assert sum(-fill["qty"] for fill in venue.step()) == min(10.0, max(0.0, left))


def test_a_fill_of_the_venue_counts_for_the_next_order_until_the_figures_know_it() -> None:
    venue = _venue()
    held = {"held_before": {"AAPL": 10.0}, "timestamp": 500}
    venue.on_order(ORDER | held | {"fills_read": 3})
    (first,) = venue.step()
    venue.on_order({"order_id": "o1", "account_id": "a", "action": "CANCEL"})
    venue.on_order(ORDER | held | {"order_id": "o2", "fills_read": 3})
    venue.on_fill(first, 3)
    assert venue.step() == []
    venue.on_order(ORDER | held | {"order_id": "o3", "fills_read": 4})
    assert [fill["order_id"] for fill in venue.step()] == ["o2", "o3"]


def test_a_fill_of_before_a_split_counts_in_the_shares_of_after() -> None:
    venue = _venue()
    split = {"action_id": "s", "symbol": "AAPL", "kind": "SPLIT", "ex_date": "2024-01-05", "ratio": 2.0}
    venue.on_action(split | {"timestamp": 1})
    day = int(dt.datetime(2024, 1, 5, 10, tzinfo=ZoneInfo("America/New_York")).timestamp() * 1000)
    venue.on_fill(_own(-3.0, day - 86_400_000), 9)
    venue.on_price(_price("AAPL", 30.0, day))
    venue.on_order(ORDER | {"held_before": {"AAPL": 10.0}, "fills_read": 9, "timestamp": day})
    (fill,) = venue.step()
    assert fill["qty"] == -4.0


def test_a_cancelled_order_fills_no_further_leg() -> None:
    venue = _venue()
    venue.on_order(ORDER)
    assert len(venue.step()) == 1
    venue.on_order({"order_id": "o1", "account_id": "a", "action": "CANCEL"})
    assert venue.step() == []


def test_after_a_restart_only_the_legs_without_a_fill_are_filled_and_ids_are_the_same() -> None:
    before = _venue()
    before.on_order(ORDER)
    (done,) = before.step()
    (expected,) = before.step()
    after = _venue()
    after.on_fill(done)
    after.on_order(ORDER)
    assert [f["fill_id"] for f in after.step() + after.step()] == [expected["fill_id"]]


def test_an_order_waits_for_its_time_and_for_a_price() -> None:
    venue = Venue()
    venue.on_order(ORDER | {"not_before": 5000})
    venue.on_price(_price("AAPL", 60.0, 4999))
    assert venue.step() == []
    venue.on_price(_price("MSFT", 60.0, 5000))
    assert len(venue.step()) == 1
    assert venue.step() == []  # KO has no price: never filled at a guess


@pytest.mark.parametrize(
    ("price_at", "clock_at", "filled"),
    [
        ("2024-01-05T15:00", "2024-01-05T15:59", True),
        ("2024-01-05T15:00", "2024-01-05T16:00", True),
        ("2024-01-05T15:00", "2024-01-05T18:00", False),  # the evening of a session
        ("2024-01-06T12:00", "2024-01-06T12:01", False),  # a Saturday
        # Saturday's price on Monday: another symbol opened the market
        ("2024-01-06T12:00", "2024-01-08T09:30", False),
        ("2024-01-05T15:00", "2024-01-08T09:30", False),  # and Friday's
        ("2024-01-08T08:00", "2024-01-08T09:30", False),  # the price is of before the opening
        ("2024-01-08T09:30", "2024-01-08T09:30", True),
        ("2024-01-15T12:00", "2024-01-15T12:00", False),  # Martin Luther King's day
        ("2023-11-24T12:59", "2023-11-24T13:30", False),  # a half day
    ],
)
def test_nothing_trades_outside_a_session_or_at_a_price_of_another(
    price_at: str, clock_at: str, filled: bool
) -> None:
    venue = Venue()
    at, clock = (
        int(dt.datetime.fromisoformat(t).replace(tzinfo=ZoneInfo("America/New_York")).timestamp() * 1000)
        for t in (price_at, clock_at)
    )
    venue.on_order(ORDER | {"not_before": at})
    venue.on_price(_price("AAPL", 60.0, at))
    venue.on_price(_price("MSFT", 60.0, clock))
    assert bool(venue.step()) is filled


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    venue = _venue()
    venue.on_price(_price("AAPL", 1.0, 500))
    assert venue.prices["AAPL"] == (1000, 60.0)


def test_a_price_from_the_future_moves_no_clock_and_a_broken_order_stops_no_other() -> None:
    """One print stamped tomorrow would open every order that waits for the market;
    a leg without a side cannot be filled.
    """
    produced = 1_790_000_000_000
    tomorrow = _price("AAPL", 1.0, produced + 86_400_000)
    broken = ORDER | {"order_id": "o2", "positions": [{"symbol": "AAPL", "qty": 10}]}
    sent = [(PRICES, tomorrow), (LIQUIDATION_ORDERS, broken), (PRICES, _price("KO", 50.0, produced))]
    records = [Record(topic, 0, n, None, encode(event), produced) for n, (topic, event) in enumerate(sent)]
    assert [event for _, event in readable(records)] == [_price("KO", 50.0, produced)]
