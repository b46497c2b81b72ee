"""A decision event that is damaged anywhere is refused by name, or every consumer can act on it:
none is stopped by it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import (
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    RESTRICTIONS,
    BadEvent,
    Event,
    decode,
    encode,
)
from margin_platform.dashboard.state.ladder_feed import LadderLog
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.notification.message import notice_of
from margin_platform.policy.policy import current_policy
from margin_platform.stack.venue import Venue
from margin_platform.store.store import Store

POLICY = current_policy()
T = 1_582_299_000_000
POSITION = {"symbol": "AAPL", "qty": 1000.0, "price": 92.857, "price_timestamp": T}
CALL: Event = {
    "event_id": "e",
    "account_id": "A",
    "call_id": "c1",
    "correlation_id": "c1",
    "action": "MARGIN_CALL",
    "deficiency": 2500.0,
    "due_at_ms": T,
    "explanation": "short",
    "equity": 30000.0,
    "requirement": 32500.0,
    "excess": -2500.0,
    "components": {"base_requirement": 23214.29, "concentration_addon": 9285.71},
    "cures": [
        {"action": "DEPOSIT_CASH", "amount": 2500.0},
        {"action": "SELL", "amount": 7150.0, "symbol": "AAPL", "qty": 77.0},
    ],
    "holdings": [POSITION],
    "issued": 2500.0,
    "opened_at_ms": T,
    "figures_at_ms": T,
    "policy_version": "house",
    "timestamp": T,
    "attempt": 1,
    "positions": [POSITION],
    "cash": -62_857.0,
    "margin_type": "REG_T",
    "share_basis": {"AAPL": "b"},
    "next_actions": {"AAPL": T + 86_400_000},
    "orders_filled": {"o1": {"AAPL": -5.0}},
    "fills_read": 7,
}
ORDER: Event = {
    "order_id": "o1",
    "account_id": "A",
    "correlation_id": "c1",
    "action": "NEW",
    "timestamp": T,
    "not_before": T,
    "reason": "r",
    "positions": [{"symbol": "AAPL", "side": "SELL", "qty": 10.0}],
    "deficiency": 1.0,
    "policy_version": "house",
    "attempt": 1,
    "valid_until": T + 86_400_000,
    "held_before": {"AAPL": 1000.0},
    "share_basis": {"AAPL": "b"},
    "fills_read": 7,
}
RESTRICTION: Event = {
    "account_id": "A",
    "action": "CLOSE_ONLY",
    "correlation_id": "c1",
    "timestamp": T,
    "reason": "r",
    "policy_version": "house",
}
STATUS: Event = {
    "account_id": "A",
    "calc_id": "k",
    "timestamp": T,
    "equity": 30000.0,
    "gross_mv": 92857.0,
    "requirement": 32500.0,
    "excess": -2500.0,
    "cash": -62_857.0,
    "margin_type": "REG_T",
    "positions": [POSITION],
    "stress": [],
    "stale_symbols": [],
    "corrected_symbols": ["AAPL"],
    "corrected_since": T,
    "severe_underwater": False,
    "band": "CALL",
    "held": None,
    "share_basis": {"AAPL": "b"},
    "next_actions": {"AAPL": T + 86_400_000},
    "orders_filled": {"o1": {"AAPL": -5.0}},
    "fills_read": 7,
}
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    0.5,
    10**18,
    1e308,
    -1e308,
    "",
    " ",
    "x",
    "0\0",
    "x" * 5000,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"a": 1},
    "CANCEL",
    "NEW",
    "LIQUIDATE",
    "WARNING",
    "AMENDED",
    "EXPIRED",
    "HELD",
    "SELL",
    315_532_800_000,
    4_102_444_799_999,
    T - 400 * 86_400_000,
)


def _damaged(event: Any) -> Iterator[Any]:
    """The event with each value, at every depth, replaced by each odd one; and without it."""
    for key in event if isinstance(event, dict) else range(len(event)):
        for odd in ODD:
            other = copy.deepcopy(event)
            other[key] = odd
            yield other
        without = copy.deepcopy(event)
        del without[key]
        yield without
        if isinstance(event[key], dict | list):
            for inner in _damaged(event[key]):
                yield (
                    copy.deepcopy(event) | {key: inner}
                    if isinstance(event, dict)
                    else [*event[:key], inner, *event[key + 1 :]]
                )


def _accepted(topic: str, event: Event) -> list[Event]:
    """What of the damaged events passes the contract."""
    passed = []
    for damaged in _damaged(event):
        with contextlib.suppress(BadEvent):
            passed.append(decode(topic, encode(damaged)))
    assert len(passed) > 40, "too few were left to try"
    return passed


@pytest.mark.parametrize("action", ["WARNING", "MARGIN_CALL", "AMENDED", "EXPIRED", "HELD", "LIQUIDATE"])
def test_every_accepted_call_makes_its_notice_and_its_line_on_the_page(action: str) -> None:
    for call in _accepted(MARGIN_CALLS, CALL | {"action": action}):
        notice = notice_of(MARGIN_CALLS, call, POLICY)
        # the columns of the store
        assert notice is None or (len(notice.rung) <= 64 and len(notice.episode) <= 64)
        LadderLog().apply(MARGIN_CALLS, call, 1)


def test_every_accepted_request_is_answered_by_the_liquidation_desk(tmp_path: Path) -> None:
    requests = _accepted(MARGIN_CALLS, CALL | {"action": "LIQUIDATE"})
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        asked = [(r, (MARGIN_CALLS, 0, n)) for n, r in enumerate(requests) if r["action"] == "LIQUIDATE"]
        assert len(LiquidationDesk(store, POLICY).handle_many(asked)) >= len(asked)


def test_every_accepted_order_is_worked_by_the_venue_and_makes_its_notice() -> None:
    for order in _accepted(LIQUIDATION_ORDERS, ORDER):
        venue = Venue()
        venue.on_price({"symbol": "AAPL", "price": 90.0, "timestamp": T})
        venue.on_order(order)
        venue.step()
        notice_of(LIQUIDATION_ORDERS, order, POLICY)
        LadderLog().apply(LIQUIDATION_ORDERS, order, 1)


def test_every_accepted_restriction_makes_its_notice() -> None:
    for event in _accepted(RESTRICTIONS, RESTRICTION):
        assert notice_of(RESTRICTIONS, event, POLICY) is not None


def test_every_accepted_status_is_decided(tmp_path: Path) -> None:
    events = [e | {"account_id": f"A{n}"} for n, e in enumerate(_accepted(MARGIN_STATUS, STATUS))]
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        Enforcer(store, POLICY).handle_many([(e, (MARGIN_STATUS, 0, n)) for n, e in enumerate(events)])


@pytest.mark.parametrize("action", ["HALT", "new", "", None, 5, ["NEW"], {}])
@pytest.mark.parametrize(
    ("topic", "event"), [(MARGIN_CALLS, CALL), (LIQUIDATION_ORDERS, ORDER), (RESTRICTIONS, RESTRICTION)]
)
def test_an_unknown_action_is_refused_and_named(topic: str, event: Event, action: Any) -> None:
    with pytest.raises(BadEvent) as refused:
        decode(topic, encode(event | {"action": action}))
    assert (refused.value.field, refused.value.value) == ("action", action)
