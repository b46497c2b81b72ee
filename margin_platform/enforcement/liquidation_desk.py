"""The liquidation desk: requests from the ladder become orders, each once, sized on the account's newest
figures.

An order is sent only when the one before it for the same call is done, so that two orders never sell the same
shares; what is left of an order is cancelled by `enforcement` as soon as the account is whole. Orders wait
for the market to open. Each answer to a request, an order or why there is none, goes into the account's audit
chain.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import Connection, insert, select

from margin_platform.audit.entries import digest
from margin_platform.contracts.events.vocabulary import Side
from margin_platform.contracts.messages import AUDIT, LIQUIDATION_ORDERS, Event, deterministic_id
from margin_platform.contracts.offsets import Source, Span
from margin_platform.documents.book_input import InputError
from margin_platform.documents.rebuilt import book_of
from margin_platform.enforcement.decision_messages import audit_entry
from margin_platform.enforcement.foreseen_proposals import ForeseenProposals
from margin_platform.enforcement.open_orders import OrderState, settle, withdraw
from margin_platform.ladder.deadlines import next_deadline
from margin_platform.ladder.state import Decision, DecisionKind
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.workbench import Order, Proposal, Terms
from margin_platform.policy.policy import Policy
from margin_platform.store.progress import Consumer, fresh
from margin_platform.store.store import Store
from margin_platform.store.tables import orders
from margin_platform.store.unit_of_work import Message, UnitOfWork
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import next_open, trading_seconds_between

_WAITS = "held: a corporate action"  # how a reason begins after which the ladder is to ask again by the clock


class LiquidationDesk:
    """Sizes and records orders; they leave through the outbox.

    newest_price: event time of the newest price of any symbol, epoch milliseconds; None: that of the
    account's own is taken for it.
    """

    def __init__(self, store: Store, policy: Policy, newest_price: int | None = None) -> None:
        self.store = store
        self.policy = policy
        self.newest_price = newest_price or 0

    def handle_many(
        self,
        requests: Sequence[tuple[Event, tuple[str, int, int]]],
        run_id: str | None = None,
        span: Span | None = None,
    ) -> list[Message]:
        """Answer margin.calls.v1 events with action LIQUIDATE, in one transaction;
        return the orders put into the outbox.

        span: the offsets that were read (see `store.progress.fresh`). OutOfOrder where an earlier request has
        no answer.
        """
        proposals = ForeseenProposals(self._proposal)
        with self.store.read() as connection:
            states = UnitOfWork(connection, (event["account_id"] for event, _ in requests))
            for event, _ in requests:
                if not _answered(connection, event):
                    proposals.foresee(*_evidence(states, event))
        with self.store.write() as connection:
            new = fresh(connection, Consumer.LIQUIDATION, requests, span)
            work = UnitOfWork(connection, (event["account_id"] for event, _ in new))
            for event, source in new:
                self._answer(work, event, source, run_id, proposals)
            work.flush()
        return work.messages

    def _answer(
        self,
        work: UnitOfWork,
        request: Event,
        source: Source,
        run_id: str | None,
        proposals: ForeseenProposals,
    ) -> None:
        row = work.account(request["account_id"])
        status, at = _evidence(work, request)
        withdrawn = withdraw(work.connection, status, at, run_id)
        work.messages += [(LIQUIDATION_ORDERS, cancelled) for cancelled in withdrawn]
        order, why = self._order(work.connection, request, status, at, run_id, proposals)
        if order is not None:
            work.messages.append((LIQUIDATION_ORDERS, order))
        if why.startswith(_WAITS) and row.state.call:
            row.state = replace(row.state, asks_again=True)
            row.next_deadline = next_deadline(row.state, self.policy)
        kind = DecisionKind.NO_ORDER if order is None else DecisionKind.ORDER
        decided = Decision(
            kind,
            row.account_id,
            at,
            why,
            request["deficiency"],
            request["call_id"],
            attempt=request["attempt"],
        )
        entry = audit_entry(decided, status, self.policy, str(source), run_id)
        work.messages.append((AUDIT, work.chain(row, entry | _traded(order), status)))
        work.keep(row)

    def _order(
        self,
        connection: Connection,
        request: Event,
        status: Event,
        at: int,
        run_id: str | None,
        proposals: ForeseenProposals,
    ) -> tuple[Event | None, str]:
        """Return the order of a request, recorded, or None; and why it is no smaller, or why there is none.

        The ladder asks again.
        """
        if _answered(connection, request):
            return None, "this request has its order already"
        if settle(connection, request["call_id"], status):
            return None, "prior order still working"
        try:
            proposal = proposals(status, at)
        except InputError as error:
            return None, f"held: {error}"
        if not proposal.orders:
            return None, proposal.statement
        if changing := _changing(status, proposal, not_before(at)):
            return (
                None,
                f"{_WAITS} of {', '.join(changing)} takes effect before the order may trade; sized after it",
            )
        order = self._event(request, status, proposal, at, run_id)
        connection.execute(
            insert(orders).values(
                order_id=order["order_id"],
                account_id=order["account_id"],
                call_id=order["call_id"],
                attempt=order["attempt"],
                status=OrderState.SENT,
                created_at=order["timestamp"],
                run_id=run_id,
                event=order,
            )
        )
        return order, proposal.statement

    def _proposal(self, status: Event, at: int) -> Proposal:
        """Propose what to sell by these figures; nothing where the whole market fell silent longer ago than a
        price may be old.

        A symbol that alone gets no more prices is marked by the stream. A silent market moves no batch,
        so nothing marks it.
        """
        given = book_of(status, self.policy)
        heard = max([self.newest_price, *(p.get("price_timestamp") or 0 for p in status["positions"])])
        silent = heard > 0 and trading_seconds_between(heard, at) > self.policy.prices.max_price_age_seconds
        stale = np.isin(given.market.symbols, status.get("stale_symbols") or []) | silent
        return propose(
            given.book, given.market.with_columns(stale=stale), self.policy, 0, Terms.of(self.policy)
        )

    def _event(self, request: Event, status: Event, proposal: Proposal, at: int, run_id: str | None) -> Event:
        order_id = deterministic_id("liquidation", request["call_id"], request["attempt"])
        held = {p["symbol"]: p["qty"] for p in status["positions"]}
        sold, days = {o.symbol for o in proposal.orders}, status.get("next_actions") or {}
        read = {name: status[name] for name in ("fills_read",) if status.get(name) is not None}
        return read | {
            "event_id": order_id,
            "order_id": order_id,
            "account_id": request["account_id"],
            "call_id": request["call_id"],
            "action": "NEW",
            "attempt": request["attempt"],
            "positions": [_leg(o) for o in proposal.orders],
            "held_before": held,
            "reason": request["explanation"],
            "deficiency": request["deficiency"],
            "excess_before": proposal.excess_before,
            "excess_after": proposal.excess_after,
            "cured": proposal.cured,
            "certificate": proposal.certificate,
            "not_before": not_before(at),
            "valid_until": min((days[s] for s in sold if s in days), default=None),
            "share_basis": {s: basis for s, basis in (status.get("share_basis") or {}).items() if s in sold},
            "calc_id": status.get("calc_id"),
            "correlation_id": request["call_id"],
            "causation_id": request["event_id"],
            "run_id": run_id,
            "policy_version": self.policy.version,
            "timestamp": at,
        }


def _changing(status: Event, proposal: Proposal, first: int) -> list[str]:
    """Return the symbols to trade whose shares change by the time (epoch milliseconds) from which the
    order may trade.
    """
    days = status.get("next_actions") or {}
    return sorted({o.symbol for o in proposal.orders if days.get(o.symbol, first + 1) <= first})


def _answered(connection: Connection, request: Event) -> bool:
    """Report whether the request became an order: it stands at two offsets where its sender died between
    sending and marking it as sent.
    """
    same = (orders.c.call_id == request["call_id"], orders.c.attempt == request["attempt"])
    return connection.execute(select(orders.c.order_id).where(*same)).first() is not None


def _evidence(work: UnitOfWork, request: Event) -> tuple[Event, int]:
    """Return the status event that answers a request, and the event time of the answer."""
    status = _newest(work.account(request["account_id"]).last_event, request)
    return status, max(int(request["timestamp"]), int(status["timestamp"]))


def _newest(status: Event | None, request: Event) -> Event:
    """Return the account's newest status event, or the request's own figures where none is newer."""
    if status is None or status.get("positions") is None or status["timestamp"] < request["timestamp"]:
        return request
    return status


def not_before(at: int) -> int:
    """Return when an order made at an event time may trade: now in market hours, else the next opening (epoch
    milliseconds).
    """
    return int(next_open(dt.datetime.fromtimestamp(at / 1000, NEW_YORK)).timestamp() * 1000)


def _leg(order: Order) -> dict[str, object]:
    """Return a leg with its Regulation SHO mark: sales are of shares held long; a cover is a purchase and
    needs no locate.
    """
    return vars(order) | {"mark": "LONG" if order.side == Side.SELL else "COVER_NO_LOCATE"}


def _traded(order: Event | None) -> dict[str, object]:
    """Return what the audit entry of an answer records of its order."""
    if order is None:
        return {}
    legs = [{name: leg[name] for name in ("symbol", "side", "qty")} for leg in order["positions"]]
    said = {"order_id": order["order_id"], "positions": legs, "excess_after": order["excess_after"]}
    return said | {"order": digest(order)}
