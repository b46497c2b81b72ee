"""Open liquidation orders in the store: which still have shares to trade, and their cancellation once the account is whole."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.money import shares
from margin_platform.store.tables import orders

SENT, FILLED, CANCELLED = "SENT", "FILLED", "CANCELLED"


def unfilled(order: Event, positions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is left of the legs of an order by these newer positions: each with the shares still to trade, none where all are.

    An order keeps what was held of each symbol when it was made; what the position has shrunk by since is taken to be its fills.
    """
    held = {p["symbol"]: float(p["qty"]) for p in positions}
    before = order["held_before"]
    left = []
    for leg in order["positions"]:
        traded = max(0.0, abs(before[leg["symbol"]]) - abs(held.get(leg["symbol"], 0.0)))
        if leg["qty"] - traded > 1e-6:
            left.append(leg | {"qty": shares(leg["qty"] - traded)})
    return left


def settle(connection: Connection, call_id: str, positions: list[dict[str, Any]]) -> list[Event]:
    """Marks the call's orders that are wholly traded as filled; returns the events of those that are not."""
    open_orders = []
    rows = connection.execute(select(orders).where(orders.c.call_id == call_id, orders.c.status == SENT).order_by(orders.c.attempt)).all()
    for row in rows:
        if unfilled(row.event, positions):
            open_orders.append(row.event)
        else:
            connection.execute(update(orders).where(orders.c.order_id == row.order_id).values(status=FILLED))
    return open_orders


def cancel(connection: Connection, call_id: str, positions: list[dict[str, Any]], reason: str, now: int, run_id: str | None) -> list[Event]:
    """Cancels what is left of a call's orders; returns the liquidation.orders.v1 events that say so."""
    events = []
    for order in settle(connection, call_id, positions):
        connection.execute(update(orders).where(orders.c.order_id == order["order_id"]).values(status=CANCELLED))
        kept = ("account_id", "order_id", "call_id", "attempt", "correlation_id", "deficiency", "excess_after")
        cancellation = {name: order[name] for name in kept} | {
            "event_id": deterministic_id("cancel", order["order_id"]), "action": "CANCEL", "positions": unfilled(order, positions),
            "reason": reason, "run_id": run_id, "timestamp": now,
        }
        events.append(cancellation)
    return events
