"""Open liquidation orders in the store:
which still have shares to trade, and when what is left of them is cancelled.

An order counts in the shares of its own day. It ends once the account is whole, a corporate action changes
what its shares are, or less is held than it would trade.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, select, update

from margin_platform.contracts.events.field_types import FINEST_SHARE
from margin_platform.contracts.events.vocabulary import OrderAction
from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.money import shares
from margin_platform.store.tables import orders

Filled = dict[str, float]  # symbol -> signed shares


class OrderState(StrEnum):
    """What is known of a liquidation order in the store."""

    SENT = "SENT"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"


def unfilled(order: Event, positions: list[Event], filled: Filled | None = None) -> list[Event]:
    """Return what an order may still trade by these newer positions:
    its legs with the shares left, none where all are traded.

    filled: the order's own fills. A position also shrinks by a split or by the customer's own sale: that is
    no fill, and leaves less to trade. No leg goes through zero.
    """
    held = {p["symbol"]: abs(float(p["qty"])) for p in positions}
    legs = [
        leg | {"qty": shares(min(leg["qty"], held.get(leg["symbol"], 0.0)))} for leg in _left(order, filled)
    ]
    return [leg for leg in legs if leg["qty"] > FINEST_SHARE]


def fills_of(order: Event, status: Event) -> Filled:
    """Return the shares an order has traded by symbol, as a status event states."""
    return dict((status.get("orders_filled") or {}).get(order["order_id"], {}))


def void(order: Event, status: Event) -> str | None:
    """Return why an order must not trade any more by these newer figures, or None."""
    if (order.get("valid_until") or status["timestamp"] + 1) <= status["timestamp"]:
        return "a corporate action took effect: the order counts in the earlier shares"
    bases, now = order.get("share_basis"), status.get("share_basis") or {}
    held = {p["symbol"]: abs(float(p["qty"])) for p in status.get("positions") or []}
    for leg in _left(order, fills_of(order, status)):
        symbol = leg["symbol"]
        if bases is not None and bases.get(symbol) != now.get(symbol):
            return f"a corporate action of {symbol} took effect: the order counts in the earlier shares"
        if leg["qty"] > held.get(symbol, 0.0) + FINEST_SHARE:
            return (
                f"{symbol}: {leg['qty']:,.6g} shares are left to trade and {held.get(symbol, 0.0):,.6g} are "
                "held"
            )
    return None


def _left(order: Event, filled: Filled | None) -> list[Event]:
    """Return the legs that the order's own fills leave."""
    traded = filled or {}
    legs = [
        leg | {"qty": shares(leg["qty"] - abs(traded.get(leg["symbol"], 0.0)))} for leg in order["positions"]
    ]
    return [leg for leg in legs if leg["qty"] > FINEST_SHARE]


def settle(connection: Connection, call_id: str, status: Event) -> list[Event]:
    """Mark the call's orders that are wholly traded as filled; return the events of those that are not."""
    open_orders = []
    for order in _sent(connection, orders.c.call_id == call_id):
        if _left(order, fills_of(order, status)):
            open_orders.append(order)
        else:
            _mark(connection, order, OrderState.FILLED)
    return open_orders


def cancel(
    connection: Connection, call_id: str, status: Event, reason: str, now: int, run_id: str | None
) -> list[Event]:
    """Cancel what is left of a call's orders; return the liquidation.orders.v1 events that report it."""
    return [
        _cancelled(connection, order, status, reason, now, run_id)
        for order in settle(connection, call_id, status)
    ]


def withdraw(connection: Connection, status: Event, now: int, run_id: str | None) -> list[Event]:
    """Cancel the account's orders that must not trade any more by these figures, each with its reason."""
    events = []
    for order in _sent(connection, orders.c.account_id == status["account_id"]):
        if reason := void(order, status):
            events.append(_cancelled(connection, order, status, reason, now, run_id))
    return events


def _sent(connection: Connection, which: ColumnElement[bool]) -> list[Event]:
    found = connection.execute(
        select(orders.c.event).where(which, orders.c.status == OrderState.SENT).order_by(orders.c.attempt)
    )
    return list(found.scalars())


def _mark(connection: Connection, order: Event, status: OrderState) -> None:
    connection.execute(update(orders).where(orders.c.order_id == order["order_id"]).values(status=status))


def _cancelled(
    connection: Connection, order: Event, status: Event, reason: str, now: int, run_id: str | None
) -> Event:
    _mark(connection, order, OrderState.CANCELLED)
    kept = ("account_id", "order_id", "call_id", "attempt", "correlation_id", "deficiency", "excess_after")
    return {name: order[name] for name in kept} | {
        "event_id": deterministic_id("cancel", order["order_id"]),
        "action": OrderAction.CANCEL,
        "reason": reason,
        "run_id": run_id,
        "timestamp": now,
        "positions": _left(order, fills_of(order, status)),
    }
