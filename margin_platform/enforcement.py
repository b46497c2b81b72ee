"""Enforcement: status events and the clock through the ladder, into the store and out through the outbox, each exactly once.

State, calls, audit and outgoing messages change in one transaction. A message already acted on (its topic, partition and
offset) changes nothing, and every outgoing message has an id that follows from its cause, so that repeating an op, a run or
a publication repeats nothing downstream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update

from margin_platform import ladder, open_orders
from margin_platform.audit import GENESIS, entry_hash
from margin_platform.decision_events import audit_entry, message_of
from margin_platform.events import AUDIT, LIQUIDATION_ORDERS, Event, deterministic_id
from margin_platform.ladder import Decision, LadderState, Observation
from margin_platform.policy import Policy
from margin_platform.store import Store
from margin_platform.store.tables import audit, calls, ladder_states, outbox, processed

CONSUMER = "enforcement"
Source = tuple[str, int, int]        # topic, partition, offset of the event
Message = tuple[str, Event]          # topic, event

_CLOSES = (ladder.CALL_CURED, ladder.RESCINDED)   # the account is whole: what is left of its orders is cancelled
_CALL_STATUS = {ladder.CALL_CURED: "MET", ladder.RESCINDED: "RESCINDED", ladder.CALL_EXPIRED: "EXPIRED"}


class Enforcer:
    """The ladder over a store. One policy decides; every decision names its version."""

    def __init__(self, store: Store, policy: Policy) -> None:
        self.store = store
        self.policy = policy

    def handle_many(self, events: Iterable[tuple[Event, Source]], run_id: str | None = None) -> list[Message]:
        """Acts on status events in order, in one transaction; returns the messages it put into the outbox."""
        messages: list[Message] = []
        with self.store.write() as connection:
            states = _States(connection)
            for event, source in events:
                if first_time(connection, source):
                    messages += self._observe(states, event, source, run_id)
            states.flush()
        return messages

    def handle(self, event: Event, source: Source, run_id: str | None = None) -> list[Message]:
        return self.handle_many([(event, source)], run_id)

    def fire_timers(self, now: int, run_id: str | None = None) -> list[Message]:
        """Acts on every timer due at an event time (epoch milliseconds)."""
        messages: list[Message] = []
        with self.store.write() as connection:
            states = _States(connection)
            due = select(ladder_states.c.account_id).where(ladder_states.c.next_deadline <= now).order_by(ladder_states.c.account_id)
            for (account_id,) in connection.execute(due).all():
                row = states.get(account_id)
                after, decisions = ladder.tick(row.state, now, self.policy)
                messages += self._record(states, row, after, decisions, run_id, f"clock@{now}")
            states.flush()
        return messages

    def next_timer(self) -> int | None:
        """The earliest event time at which a timer is due; None where none is set."""
        with self.store.read() as connection:
            return connection.execute(select(ladder_states.c.next_deadline).order_by(ladder_states.c.next_deadline).where(
                ladder_states.c.next_deadline.is_not(None)).limit(1)).scalar()

    def _observe(self, states: _States, event: Event, source: Source, run_id: str | None) -> list[Message]:
        row = states.get(event["account_id"])
        after, decisions = ladder.step(row.state, Observation.from_status_event(event), self.policy)
        if after is not row.state:
            row.last_event = event
        return self._record(states, row, after, decisions, run_id, f"{source[0]}[{source[1]}]@{source[2]}")

    def _record(
        self, states: _States, row: _Row, after: LadderState, decisions: Sequence[Decision], run_id: str | None, source: str
    ) -> list[Message]:
        connection, cause = states.connection, row.last_event or {}
        for decision in decisions:
            _record_call(connection, decision, cause, source, run_id)
        if row.state.call and after.call and after.call.outstanding != row.state.call.outstanding:
            connection.execute(update(calls).where(calls.c.call_id == after.call.call_id).values(outstanding=after.call.outstanding))
        row.state = after
        row.next_deadline = ladder.next_deadline(after, self.policy)
        states.changed(row)
        messages: list[Message] = []
        for number, decision in enumerate(decisions):
            outgoing = message_of(decision, cause, self.policy, source, run_id)
            if outgoing is not None:
                messages.append(outgoing)
            if decision.kind in _CLOSES and decision.call_id:
                held = cause.get("positions") or []
                left = open_orders.cancel(connection, decision.call_id, held, decision.reason, decision.timestamp, run_id)
                messages += [(LIQUIDATION_ORDERS, event) for event in left]
            messages.append((AUDIT, _chain(connection, row, audit_entry(decision, cause, self.policy, source, run_id), number)))
        post(connection, messages)
        return messages


class _Row:
    """An account's state as loaded, and what is to be written back."""

    def __init__(self, account_id: str, found: Any | None) -> None:
        self.account_id = account_id
        self.is_new = found is None
        self.state = LadderState(account_id) if found is None else LadderState.from_dict(found.state)
        self.last_event: Event | None = None if found is None else found.last_event
        self.next_deadline: int | None = None if found is None else found.next_deadline
        self.audit_count: int = 0 if found is None else found.audit_count
        self.audit_hash: str = GENESIS if found is None else found.audit_hash

    def values(self) -> dict[str, Any]:
        return {
            "account_id": self.account_id, "state": self.state.to_dict(), "status": self.state.status, "restricted": self.state.restricted,
            "next_deadline": self.next_deadline, "last_event": self.last_event,
            "audit_count": self.audit_count, "audit_hash": self.audit_hash,
        }


class _States:
    """The accounts a transaction works on, each loaded once and written once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._rows: dict[str, _Row] = {}
        self._changed: dict[str, _Row] = {}

    def get(self, account_id: str) -> _Row:
        if account_id not in self._rows:
            found = self.connection.execute(select(ladder_states).where(ladder_states.c.account_id == account_id)).one_or_none()
            self._rows[account_id] = _Row(account_id, found)
        return self._rows[account_id]

    def changed(self, row: _Row) -> None:
        self._changed[row.account_id] = row

    def flush(self) -> None:
        for row in self._changed.values():
            if row.is_new:
                self.connection.execute(insert(ladder_states).values(**row.values()))
            else:
                self.connection.execute(update(ladder_states).where(ladder_states.c.account_id == row.account_id).values(**row.values()))


def first_time(connection: Connection, source: Source, consumer: str = CONSUMER) -> bool:
    """Marks a message as acted on; False where it was already."""
    topic, partition, offset = source
    key = {"consumer": consumer, "topic": topic, "partition": partition, "offset": offset}
    where = [processed.c[name] == value for name, value in key.items()]
    if connection.execute(select(processed.c.offset).where(*where)).one_or_none() is not None:
        return False
    connection.execute(insert(processed).values(**key))
    return True


def _record_call(connection: Connection, decision: Decision, cause: Event, source: str, run_id: str | None) -> None:
    if decision.call_id is None:
        return
    if decision.kind == ladder.CALL:
        connection.execute(
            insert(calls).values(
                call_id=decision.call_id, account_id=decision.account_id, opened_at=decision.timestamp, due_at=decision.due_at,
                issued=decision.amount, outstanding=decision.amount, status="OPEN", calc_id=cause.get("calc_id", ""), run_id=run_id,
                source=source, evidence=cause,
            )
        )
    elif decision.kind == ladder.CALL_INCREASED:
        connection.execute(update(calls).where(calls.c.call_id == decision.call_id).values(issued=decision.amount))
    elif decision.kind in _CALL_STATUS:
        closed = None if decision.kind == ladder.CALL_EXPIRED else decision.timestamp
        values: dict[str, Any] = {"status": _CALL_STATUS[decision.kind], "closed_at": closed}
        if closed is not None:
            values["outstanding"] = 0.0
        connection.execute(update(calls).where(calls.c.call_id == decision.call_id).values(**values))


def _chain(connection: Connection, row: _Row, entry: dict[str, Any], number: int) -> Event:
    """Adds an entry to the account's audit chain; returns its audit.v1 event."""
    hashed = entry_hash(row.audit_hash, entry)
    row.audit_count += 1
    connection.execute(
        insert(audit).values(
            account_id=row.account_id, number=row.audit_count, decided_at=entry["timestamp"], entry=entry, previous_hash=row.audit_hash,
            hash=hashed,
        )
    )
    event = {"event_id": hashed[:24], "number": row.audit_count, "previous_hash": row.audit_hash, "hash": hashed} | entry
    row.audit_hash = hashed
    return event


def post(connection: Connection, messages: Sequence[Message]) -> None:
    """Puts messages into the outbox, in order."""
    if messages:
        rows = [
            {"message_id": event.get("event_id") or deterministic_id(topic, event), "topic": topic, "event": event, "sent": False}
            for topic, event in messages
        ]
        connection.execute(insert(outbox), rows)
