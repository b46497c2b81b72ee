"""A liquidation order meets a corporate action or the customer's own trade:
never through zero, never too small, never taken as done.

100 AAA, debit 6,200, price 70: equity 800, requirement 2,450. To sell 68 cures it (0.35 x 70 x 68 = 1,666).
The order waits for the opening, and that is the ex-date of a split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    PRICES,
    Event,
)
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.enforcement.open_orders import unfilled
from margin_platform.kernel.market import Instrument
from margin_platform.stack.venue import Venue
from margin_platform.store.store import Store
from tests.support.engine_feed import POLICY, Feed
from tests.support.splits import RATIOS, ny, price, split


class House:
    """The margin engine, the enforcer, the liquidation desk and the venue,
    joined as their topics join them.
    """

    def __init__(self, store: Store, *, venue_knows: bool = True) -> None:
        self.feed = Feed([Instrument(symbol="AAA"), Instrument(symbol="ZZZ")])
        self.enforcer, self.desk, self.venue = (
            Enforcer(store, POLICY),
            LiquidationDesk(store, POLICY),
            Venue(),
        )
        self.venue_knows, self.read = venue_knows, Counter[str]()
        self.orders: list[Event] = []
        self.lowest = self.highest = 0.0

    def say(self, *messages: tuple[str, Event]) -> None:
        for topic, event in messages:
            if topic == PRICES:
                self.venue.on_price(event)
            elif topic == CORPORATE_ACTIONS and self.venue_knows:
                self.venue.on_action(event)
            elif topic == FILLS:
                self.venue.on_fill(event)
        status = self.feed.say(*messages).status
        for event in status:
            self._carry_out(self.enforcer.handle_many([(event, self._place(MARGIN_STATUS))]))
        held = self.held()
        self.lowest, self.highest = min(self.lowest, held), max(self.highest, held)

    def _place(self, topic: str) -> tuple[str, int, int]:
        self.read[topic] += 1
        return topic, 0, self.read[topic] - 1

    def _carry_out(self, messages: list[tuple[str, Event]]) -> None:
        for topic, event in messages:
            if topic == LIQUIDATION_ORDERS:
                self.orders.append(event)
                self.venue.on_order(event)
            elif topic == MARGIN_CALLS and event["action"] == "LIQUIDATE":
                self._carry_out(self.desk.handle_many([(event, self._place(MARGIN_CALLS))]))

    def let_time_pass(self, until: int) -> None:
        self._carry_out(self.enforcer.fire_timers(until))

    def trade(self) -> None:
        """All that the venue fills now."""
        while fills := self.venue.step():
            self.say(*((FILLS, fill) for fill in fills))

    def held(self) -> float:
        return (
            float(self.feed.engine.ledger.positions("A").get("AAA", 0.0))
            if "A" in self.feed.engine.ledger
            else 0.0
        )

    def new(self) -> list[Event]:
        return [order for order in self.orders if order["action"] == "NEW"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def until_the_evening(house: House, *, announced: Fraction | None = None, below: float = 58.0) -> None:
    """Shares bought at 100 with 62 borrowed each are worth 58 at 16:00:
    nothing but debt is left, so orders are asked for at once.
    """
    t = ny(4, 15)
    shared = {"account_id": "A", "timestamp": t - 9}
    house.say(
        (ACCOUNTS, shared | {"margin_type": "REG_T"}),
        (CASH, shared | {"transfer_id": "c", "amount": 3_800.0}),
        (FILLS, shared | {"fill_id": "f", "symbol": "AAA", "qty": 100.0, "price": 100.0}),
        price(100.0, t - 6),
    )
    if announced is not None:
        house.say(split(announced, t - 5))
    house.say(price(70.0, t))
    house.say(price(below, ny(4, 16, 5)))
    house.let_time_pass(ny(4, 16, 30))


KNOWN = [
    "ahead",
    "ahead, and seen before the opening",
    "in the morning",
    "after the opening",
    "not at the venue",
]


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_an_order_is_never_worked_in_the_shares_of_before_a_split(
    ratio: Fraction, known: str, store: Store
) -> None:
    house = House(store, venue_knows=known != "not at the venue")
    until_the_evening(house, announced=ratio if known.startswith("ahead") else None)
    assert (house.new() == []) == known.startswith("ahead")  # it could not trade before the split
    opening = 58.0 / float(ratio)
    if known == "ahead, and seen before the opening":
        house.say(price(1.0, ny(5, 8), "ZZZ"))
    if known in ("in the morning", "not at the venue"):
        house.say(split(ratio, ny(5, 8)))
    for minute in range(4):
        house.say(
            price(opening * (1 + minute / 1000), ny(5, 9, 30 + minute)),
            price(1.0, ny(5, 9, 30 + minute), "ZZZ"),
        )
        house.trade()
    if known == "after the opening":
        house.say(split(ratio, ny(5, 9, 40)))
    for minute in range(41, 59):
        house.say(price(opening, ny(5, 9, minute)))
        house.let_time_pass(ny(5, 9, minute))
        house.trade()
    for minute in range(0, 59, 3):
        house.say(price(opening, ny(5, 10, minute)))
        house.let_time_pass(ny(5, 10, minute))
        house.trade()
    assert house.lowest >= 0.0
    # no print confirms the jump to it: nothing trades until somebody tells it
    if known == "not at the venue":
        assert house.held() == pytest.approx(100 * float(ratio), abs=1e-3)
        return
    # debt beyond the shares: all of them go, of today's count
    assert house.held() == pytest.approx(0.0, abs=1.0)
    sold = sum(leg["qty"] for order in house.new()[-1:] for leg in order["positions"])
    assert sold == pytest.approx(100 * float(ratio), abs=1.0)
    if not known.startswith("ahead"):
        assert [order["action"] for order in house.orders].count("CANCEL") == 1


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_the_venue_alone_works_no_order_across_a_split_it_was_not_told_of(ratio: Fraction) -> None:
    """The price gate sees a jump in the shape of the split:
    nothing is filled at it, whatever the order says.
    """
    order = {
        "order_id": "o",
        "account_id": "A",
        "positions": [{"symbol": "AAA", "side": "SELL", "qty": 68.0}],
        "held_before": {"AAA": 100.0},
        "not_before": ny(5, 9, 30),
        "timestamp": ny(4, 16, 30),
    }
    venue = Venue()
    venue.on_price(price(70.0, ny(4, 15))[1])
    venue.on_order(order)
    for minute in (30, 31, 32):
        venue.on_price(price(70.0 / float(ratio), ny(5, 9, minute))[1])
        assert venue.step() == []
    held = 100 * float(ratio)
    assert unfilled(order, [{"symbol": "AAA", "qty": held}])[0]["qty"] == pytest.approx(
        min(68.0, held), abs=1e-4
    )


def test_the_customers_own_sale_is_no_fill_of_the_order_and_leaves_less_to_sell(store: Store) -> None:
    house = House(store)
    until_the_evening(house)
    (order,) = house.new()
    own = {
        "fill_id": "own",
        "account_id": "A",
        "symbol": "AAA",
        "qty": -40.0,
        "price": 58.0,
        "timestamp": ny(4, 16, 45),
    }
    house.say((FILLS, own))
    (cancelled,) = [event for event in house.orders if event["action"] == "CANCEL"]
    assert cancelled["order_id"] == order["order_id"]
    assert cancelled["reason"] == "AAA: 100 shares are left to trade and 60 are held"
    for minute in range(30, 59, 2):
        house.say(price(58.0, ny(5, 9, minute)))
        house.let_time_pass(ny(5, 9, minute))
        house.trade()
    assert (house.lowest, house.held()) == (0.0, 0.0)
    assert [leg["qty"] for leg in house.new()[-1]["positions"]] == [60.0]


def test_a_venue_that_sees_the_customers_sale_before_the_cancellation_sells_what_is_left() -> None:
    order = {
        "order_id": "o",
        "account_id": "A",
        "positions": [{"symbol": "AAA", "side": "SELL", "qty": 68.0}],
        "held_before": {"AAA": 100.0},
        "timestamp": ny(5, 10),
    }
    venue = Venue()
    venue.on_price(price(70.0, ny(5, 10))[1])
    venue.on_order(order)
    venue.on_fill(
        {
            "fill_id": "own",
            "account_id": "A",
            "symbol": "AAA",
            "qty": -50.0,
            "price": 70.0,
            "timestamp": ny(5, 10, 1),
        }
    )
    assert [fill["qty"] for fill in venue.step()] == [-50.0]


@pytest.mark.parametrize(("side", "held", "qty"), [("SELL", 100.0, 68.0), ("BUY_TO_COVER", -100.0, 68.0)])
@pytest.mark.parametrize("left", [100.0, 80.0, 68.0, 50.0, 10.0, 1.0, 0.5, 0.0])
def test_what_is_left_of_an_order_is_never_more_than_is_held_and_only_its_own_fills_count(
    side: str, held: float, qty: float, left: float
) -> None:
    order: dict[str, Any] = {
        "positions": [{"symbol": "AAA", "side": side, "qty": qty}],
        "held_before": {"AAA": held},
    }
    now = [{"symbol": "AAA", "qty": left if held > 0 else -left}]
    assert sum(leg["qty"] for leg in unfilled(order, now)) == min(qty, left)
    traded = {"AAA": -30.0 if held > 0 else 30.0}
    assert sum(leg["qty"] for leg in unfilled(order, now, traded)) == min(qty - 30.0, left)
