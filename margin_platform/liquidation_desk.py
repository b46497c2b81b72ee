"""The liquidation desk: requests from the ladder become orders, each once, sized on the account's newest figures.

An order is sent only when the one before it for the same call is done, so that two orders never sell the same shares; what
is left of an order is cancelled by `enforcement` as soon as the account is whole. Orders wait for the market to open.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
from sqlalchemy import Connection, insert, select

from margin_platform.business_days import NEW_YORK, next_open
from margin_platform.events import LIQUIDATION_ORDERS, Event, deterministic_id
from margin_platform.evidence import rebuilt
from margin_platform.liquidation import Proposal, Terms, propose
from margin_platform.open_orders import SENT, settle
from margin_platform.policy import Policy
from margin_platform.store import Store
from margin_platform.store.tables import ladder_states, orders
from margin_platform.unit_of_work import Message, Source, first_times, post

CONSUMER = "liquidation"


class LiquidationDesk:
    """Sizes and records orders; they leave through the outbox."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self.policy = policy

    def handle_many(self, requests: Iterable[tuple[Event, Source]], run_id: str | None = None) -> list[Message]:
        """Acts on margin.calls.v1 events with action LIQUIDATE, in one transaction; returns the orders put into the outbox."""
        messages: list[Message] = []
        given = list(requests)
        with self.store.write() as connection:
            new = first_times(connection, (source for _, source in given), CONSUMER)
            for event, source in given:
                if source in new:
                    order = self._order(connection, event, run_id)
                    if order is not None:
                        messages.append((LIQUIDATION_ORDERS, order))
            post(connection, messages)
        return messages

    def _order(self, connection: Connection, request: Event, run_id: str | None) -> Event | None:
        status = _newest(connection, request)
        if settle(connection, request["call_id"], status["positions"]):
            return None   # the order before is still being worked; the ladder asks again if it does not suffice
        given, _ = rebuilt(status, self.policy)
        stale = np.isin(given.market.symbols, status.get("stale_symbols") or [])
        proposal = propose(given.book, given.market.with_columns(stale=stale), self.policy, 0, Terms.of(self.policy))
        if not proposal.orders:
            return None   # whole again, or nothing may be sold on a missing or stale price: the ladder holds such accounts
        order = self._event(request, status, proposal, run_id)
        connection.execute(
            insert(orders).values(
                order_id=order["order_id"], account_id=order["account_id"], call_id=order["call_id"], attempt=order["attempt"], status=SENT,
                created_at=order["timestamp"], run_id=run_id, event=order,
            )
        )
        return order

    def _event(self, request: Event, status: Event, proposal: Proposal, run_id: str | None) -> Event:
        order_id = deterministic_id("liquidation", request["call_id"], request["attempt"])
        at = max(int(request["timestamp"]), int(status["timestamp"]))
        held = {p["symbol"]: p["qty"] for p in status["positions"]}
        return {
            "event_id": order_id, "order_id": order_id, "account_id": request["account_id"], "call_id": request["call_id"], "action": "NEW",
            "attempt": request["attempt"], "positions": [_leg(o) for o in proposal.orders], "held_before": held,
            "reason": request["explanation"], "deficiency": request["deficiency"], "excess_before": proposal.excess_before,
            "excess_after": proposal.excess_after, "cured": proposal.cured, "certificate": proposal.certificate,
            "not_before": not_before(at), "calc_id": status.get("calc_id"), "correlation_id": request["call_id"],
            "causation_id": request["event_id"], "run_id": run_id, "policy_version": self.policy.version, "timestamp": at,
        }


def not_before(at: int) -> int:
    """When an order made at an event time may trade: now in market hours, else the next opening (epoch milliseconds)."""
    return int(next_open(dt.datetime.fromtimestamp(at / 1000, NEW_YORK)).timestamp() * 1000)


def _leg(order: Any) -> dict[str, Any]:
    """A leg with its Regulation SHO mark: sales are of shares held long; a cover is a purchase and needs no locate."""
    return vars(order) | {"mark": "LONG" if order.side == "SELL" else "COVER_NO_LOCATE"}


def _newest(connection: Connection, request: Event) -> Event:
    """The account's newest status event, or the request's own figures where none is newer."""
    newest = connection.execute(
        select(ladder_states.c.last_event).where(ladder_states.c.account_id == request["account_id"])
    ).scalar_one_or_none()
    if newest is not None and newest["timestamp"] >= request["timestamp"]:
        return newest
    return request
