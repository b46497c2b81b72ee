"""Reservations of the order gate: shares that were given to one order of a close-only account are not
given to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import insert, update

from margin_platform.enforcement.order_gate import Gate, Order
from margin_platform.policy.policy import current_policy
from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states, orders

OPEN = 1_582_299_000_000  # 2020-02-21 10:30 New York, a session
MINUTE = 60_000


class Times:
    """An event clock and a wall clock that a test moves."""

    def __init__(self) -> None:
        self.event = self.wall = OPEN


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def gate(store_url: str, times: Times) -> Iterator[Gate]:
    """A gate over a store in which A is close-only and 100 X long."""
    with Store(store_url) as store:
        fixed = {"state": {}, "status": "CLOSE_ONLY", "audit_count": 0, "audit_hash": "", "restricted": True}
        with store.write() as connection:
            connection.execute(
                insert(ladder_states).values(account_id="A", last_event=_figures(100), **fixed)
            )
        yield Gate(store, current_policy().gate, lambda: times.event, lambda: times.wall, lambda _: False)


def _figures(shares: float, liquidated: float = 0.0) -> dict[str, Any]:
    filled = {"o": {"X": -liquidated}} if liquidated else {}
    return {"timestamp": OPEN, "positions": [{"symbol": "X", "qty": float(shares)}], "orders_filled": filled}


def _now_holds(gate: Gate, shares: float, liquidated: float = 0.0) -> None:
    with gate.store.write() as connection:
        connection.execute(update(ladder_states).values(last_event=_figures(shares, liquidated)))


def _sell(gate: Gate, shares: float, order_id: str | None = None) -> bool:
    return gate.judge(Order("A", "X", -shares, order_id)).allow


def test_of_orders_that_each_sell_everything_one_passes(gate: Gate) -> None:
    with ThreadPoolExecutor(8) as senders:
        passed = list(senders.map(lambda _: _sell(gate, 100), range(16)))
    assert passed.count(True) == 1


def test_what_is_reserved_is_used_up_as_the_position_shrinks(gate: Gate) -> None:
    assert _sell(gate, 60)
    assert not _sell(gate, 41)
    _now_holds(gate, 70)  # 30 of the 60 are traded
    assert not _sell(gate, 41)
    assert _sell(gate, 40)
    _now_holds(gate, 40)  # the rest of the first
    assert not _sell(gate, 1)
    _now_holds(gate, 0)
    assert not _sell(gate, 1)
    _now_holds(gate, 5)  # bought elsewhere: nothing works any more
    assert _sell(gate, 5)


def test_two_reservations_are_not_both_used_up_by_one_fill(gate: Gate) -> None:
    assert _sell(gate, 50)
    assert _sell(gate, 50)
    _now_holds(gate, 50)
    assert not _sell(gate, 1)


def test_fills_of_a_liquidation_order_use_up_no_reservation(gate: Gate) -> None:
    assert _sell(gate, 30)
    leg = {"symbol": "X", "side": "SELL", "qty": 50.0}
    sent = {"held_before": {"X": 100.0}, "positions": [leg], "order_id": "o"}
    with gate.store.write() as connection:
        row = {
            "order_id": "o",
            "account_id": "A",
            "call_id": "c",
            "attempt": 1,
            "status": "SENT",
            "created_at": 0,
        }
        connection.execute(insert(orders).values(event=sent, **row))
    assert not _sell(gate, 21)
    _now_holds(gate, 50, 50)  # the liquidation
    assert not _sell(gate, 21)
    assert _sell(gate, 20)


def test_a_reservation_ends_with_its_time_or_when_it_is_given_back(gate: Gate, times: Times) -> None:
    first = gate.judge(Order("A", "X", -100.0))
    assert first.reservation_id is not None
    assert not gate.release("B", first.reservation_id)  # another account's is not its to give back
    assert not _sell(gate, 1)
    assert gate.release("A", first.reservation_id)
    assert _sell(gate, 100)
    times.wall += int(current_policy().gate.gate_reservation_minutes * MINUTE) - 1
    assert not _sell(gate, 1)
    times.wall += 1
    assert _sell(gate, 100)


def test_an_order_asked_about_twice_is_reserved_once(gate: Gate) -> None:
    first, again = gate.judge(Order("A", "X", -60.0, "mine")), gate.judge(Order("A", "X", -60.0, "mine"))
    assert (again.allow, again.reservation_id) == (True, first.reservation_id)
    assert gate.judge(Order("A", "X", -50.0, "mine")).rule == "ORDER_ID_IN_USE"
    assert _sell(gate, 40)


def test_an_answer_names_the_time_of_its_figures_and_says_when_they_are_old(gate: Gate, times: Times) -> None:
    young = gate.judge(Order("A", "X", 1.0))
    assert (young.allow, young.as_of, young.old) == (False, OPEN, False)
    times.event += int(current_policy().gate.gate_figures_seconds * 1000) + MINUTE
    old = gate.judge(Order("A", "X", 1.0))
    assert (old.allow, old.rule, old.as_of, old.old) == (False, "CLOSE_ONLY_OPENS", OPEN, True)
    assert "figures 3,660 s of trading old" in old.reason
