"""Enforcement: status events and the clock through the ladder, into the store and out through the outbox,
each exactly once.

State, calls, audit, outgoing messages and the consumer's progress change in one transaction. An event already
decided changes nothing, and one is not decided before the events ahead of it. Every outgoing message has an
id that follows from its cause, so that repeating an op, a run or a publication repeats nothing downstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import select

from margin_platform.audit.entries import ACTS
from margin_platform.audit.facts import RESTRICTION_LIFTED
from margin_platform.contracts.messages import AUDIT, LIQUIDATION_ORDERS, Event
from margin_platform.contracts.offsets import Source, Span
from margin_platform.enforcement import open_orders
from margin_platform.enforcement.decision_messages import audit_entry, message_of
from margin_platform.enforcement.foreseen_cures import CuresOf, ForeseenCures
from margin_platform.ladder import ladder, lifting
from margin_platform.ladder.state import CLOSES, Decision, DecisionKind, LadderState, replace
from margin_platform.policy.policy import Policy
from margin_platform.recordkeeping import acts
from margin_platform.store.progress import Consumer, fresh
from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states
from margin_platform.store.unit_of_work import AccountRow, Message, UnitOfWork


class CallState(StrEnum):
    """A call in the store. An expired one is still owed."""

    OPEN = "OPEN"
    MET = "MET"
    EXPIRED = "EXPIRED"
    RESCINDED = "RESCINDED"


_CLOSED_AS = {DecisionKind.CALL_CURED: CallState.MET, DecisionKind.RESCINDED: CallState.RESCINDED}


class Enforcer:
    """The ladder over a store. One policy decides; every decision names its version."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self.policy = policy

    def handle_many(
        self,
        events: Sequence[tuple[Event, tuple[str, int, int]]],
        run_id: str | None = None,
        span: Span | None = None,
    ) -> list[Message]:
        """Decide status events in order, in one transaction; return the messages put into the outbox.

        span: the offsets that were read (see `store.progress.fresh`). OutOfOrder where an earlier event is
        undecided.
        """
        cures = ForeseenCures(self.policy)
        with self.store.read() as connection:
            cures.foresee(connection, [event for event, _ in events])
        with self.store.write() as connection:
            new = fresh(connection, Consumer.ENFORCEMENT, events, span)
            work = UnitOfWork(connection, (event["account_id"] for event, _ in new))
            for event, source in new:
                self._observe(work, event, source, run_id, cures)
            work.flush()
        return work.messages

    def fire_timers(self, now: int, run_id: str | None = None) -> list[Message]:
        """Act on every timer due up to an event time (epoch milliseconds)."""
        due = (
            select(ladder_states.c.account_id)
            .where(ladder_states.c.next_deadline <= now)
            .order_by(ladder_states.c.account_id)
        )
        with self.store.write() as connection:
            accounts = list(connection.execute(due).scalars())
            work = UnitOfWork(connection, accounts)
            for account_id in accounts:
                self._let_time_pass(work, work.account(account_id), now, run_id, ForeseenCures(self.policy))
            work.flush()
        return work.messages

    def lift(self, account_id: str, *, who: str, why: str) -> list[Message]:
        """Lift an account's stress restriction by a person's decision; return the messages that follow.

        The act, the decisions and their messages are stored together. LiftRefused where nothing is known of
        the account, or as in `ladder.lifting`.
        """
        with self.store.write() as connection:
            work = UnitOfWork(connection, [account_id])
            row = work.account(account_id)
            after, decisions = lifting.lift(row.state)
            what = f"lifted the stress restriction of {account_id}"
            act = acts.record(connection, RESTRICTION_LIFTED, who=who, what=what, about=account_id, why=why)
            cures = ForeseenCures(self.policy)
            self._record(work, row, after, decisions, None, cures, f"{ACTS}@{act}")
            work.flush()
        return work.messages

    def _let_time_pass(
        self, work: UnitOfWork, row: AccountRow, now: int, run_id: str | None, cures: CuresOf
    ) -> None:
        if row.next_deadline is not None and row.next_deadline <= now:
            self._record(work, row, *ladder.tick(row.state, now, self.policy), run_id, cures)

    def _observe(
        self, work: UnitOfWork, event: Event, source: Source, run_id: str | None, cures: ForeseenCures
    ) -> None:
        """Decide what fell due by the event's time first, on the earlier figures; then step the ladder: the
        result is the same whether or not the clock was read in between.
        """
        row = work.account(event["account_id"])
        self._let_time_pass(work, row, event["timestamp"], run_id, cures)
        after, decisions = cures.step(row.state, event)
        if after is not row.state:
            row.last_event = event
            if after.liquidations or row.state.liquidations:
                withdrawn = open_orders.withdraw(work.connection, event, event["timestamp"], run_id)
                work.messages += [(LIQUIDATION_ORDERS, cancelled) for cancelled in withdrawn]
                if (
                    withdrawn
                    and after.call
                    and not any(decision.kind == DecisionKind.LIQUIDATE for decision in decisions)
                ):
                    after = replace(after, asks_again=True)
        self._record(work, row, after, decisions, run_id, cures, str(source))

    def _record(
        self,
        work: UnitOfWork,
        row: AccountRow,
        after: LadderState,
        decisions: Sequence[Decision],
        run_id: str | None,
        cures: CuresOf,
        event_source: str | None = None,
    ) -> None:
        """Record decisions; event_source: the status event that decided, as topic[partition]@offset; None
        where the clock did.
        """
        cause = row.last_event or {}
        if row.state.call and after.call and after.call.outstanding != row.state.call.outstanding:
            work.change_call(after.call.call_id, outstanding=after.call.outstanding)
        row.state = after
        row.next_deadline = ladder.next_deadline(after, self.policy)
        work.keep(row)
        for decision in decisions:
            source = event_source or f"clock@{decision.timestamp}"
            _record_call(work, decision, cause, source, run_id)
            outgoing = message_of(decision, cause, self.policy, source, run_id, cures)
            if outgoing is not None:
                work.messages.append(outgoing)
            left: list[Event] = []
            if decision.kind in CLOSES and decision.call_id:
                left = open_orders.cancel(
                    work.connection, decision.call_id, cause, decision.reason, decision.timestamp, run_id
                )
                work.messages += [(LIQUIDATION_ORDERS, event) for event in left]
            entry = audit_entry(decision, cause, self.policy, source, run_id)
            cancelled = {"cancelled_orders": [event["order_id"] for event in left]} if left else {}
            work.messages.append((AUDIT, work.chain(row, entry | cancelled, cause)))


def _record_call(work: UnitOfWork, decision: Decision, cause: Event, source: str, run_id: str | None) -> None:
    if decision.call_id is None:
        return
    if decision.kind == DecisionKind.CALL:
        work.open_call(
            decision.call_id,
            account_id=decision.account_id,
            opened_at=decision.timestamp,
            due_at=decision.due_at,
            issued=decision.amount,
            outstanding=decision.amount,
            status=CallState.OPEN,
            calc_id=cause.get("calc_id", ""),
            run_id=run_id,
            source=source,
            evidence=cause,
        )
    elif decision.kind in (DecisionKind.CALL_INCREASED, DecisionKind.CALL_RESTATED):
        work.change_call(decision.call_id, issued=decision.amount)
    elif decision.kind == DecisionKind.CALL_EXPIRED:
        work.change_call(decision.call_id, status=CallState.EXPIRED, closed_at=None)
    elif decision.kind in _CLOSED_AS:
        work.change_call(
            decision.call_id, status=_CLOSED_AS[decision.kind], closed_at=decision.timestamp, outstanding=0.0
        )
