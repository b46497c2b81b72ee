"""What one transaction of the ladder reads and writes: every account once, every table in bulk.

Ten thousand accounts may cross at once; statement by statement that is a hundred thousand round trips inside
one transaction, for which every other writer waits.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, Update, bindparam, insert, select, update

from margin_platform.audit.entries import ENTRY_FORMAT, GENESIS, digest, entry_hash
from margin_platform.audit.records import standing_of
from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.ladder.state import LadderState
from margin_platform.store.tables import audit, calls, ladder_states, outbox

Message = tuple[str, Event]  # topic, event
_IN_ONE_QUERY = 500  # values of an IN list; SQLite and Postgres both take more
_STATES = select(ladder_states).where(ladder_states.c.account_id.in_(bindparam("accounts", expanding=True)))


class AccountRow:
    """An account's ladder as loaded, and what is to be written back."""

    def __init__(self, account_id: str, found: Any | None) -> None:
        self.account_id = account_id
        self.is_new = found is None
        self.state = LadderState(account_id) if found is None else LadderState.from_dict(found.state)
        self.last_event: Event | None = None if found is None else found.last_event
        self.next_deadline: int | None = None if found is None else found.next_deadline
        self.audit_count: int = 0 if found is None else found.audit_count
        self.audit_hash: str = GENESIS if found is None else found.audit_hash

    def values(self) -> dict[str, object]:
        return {
            "account_id": self.account_id,
            "state": self.state.to_dict(),
            "status": self.state.status,
            "restricted": self.state.restricted,
            "next_deadline": self.next_deadline,
            "last_event": self.last_event,
            "audit_count": self.audit_count,
            "audit_hash": self.audit_hash,
        }


class UnitOfWork:
    """Over one open transaction.

    Nothing is written before `flush`, which the caller must reach for anything to count.
    """

    def __init__(self, connection: Connection, account_ids: Iterable[str]) -> None:
        self.connection = connection
        self._rows = _load(connection, account_ids)
        self._changed: dict[str, AccountRow] = {}
        self._new_calls: dict[str, dict[str, object]] = {}
        self._call_changes: dict[str, dict[str, object]] = {}
        self._audit: list[dict[str, object]] = []
        self._digests: dict[
            int, tuple[Event, str]
        ] = {}  # by identity; the event is kept so that it stays its own
        self.messages: list[Message] = []

    def account(self, account_id: str) -> AccountRow:
        """Return the account's row; one never seen before starts ACTIVE."""
        row = self._rows.get(account_id)
        if row is None:
            row = self._rows[account_id] = AccountRow(account_id, None)
        return row

    def keep(self, row: AccountRow) -> None:
        self._changed[row.account_id] = row

    def open_call(self, call_id: str, **values: object) -> None:
        self._new_calls[call_id] = {"call_id": call_id, "closed_at": None} | values

    def change_call(self, call_id: str, **values: object) -> None:
        """Change columns of a call, whether it is in the store already or opened in this transaction."""
        if call_id in self._new_calls:
            self._new_calls[call_id] |= values
        else:
            self._call_changes.setdefault(call_id, {}).update(values)

    def chain(self, row: AccountRow, decided: dict[str, object], evidence: Event) -> Event:
        """Add an entry to the account's audit chain; return its audit.v1 event.

        evidence: the status event that it was decided on. The row stands as the decision leaves it.
        """
        state = row.state
        standing = standing_of(state.status, state.restricted, state.to_dict())
        entry = decided | {"format": ENTRY_FORMAT, "evidence": self._digest(evidence), "standing": standing}
        hashed = entry_hash(row.audit_hash, entry)
        row.audit_count += 1
        self._audit.append(
            {
                "account_id": row.account_id,
                "number": row.audit_count,
                "decided_at": entry["timestamp"],
                "entry": entry,
                "previous_hash": row.audit_hash,
                "hash": hashed,
            }
        )
        event = {
            "event_id": hashed[:24],
            "number": row.audit_count,
            "previous_hash": row.audit_hash,
            "hash": hashed,
        } | entry
        row.audit_hash = hashed
        return event

    def _digest(self, evidence: Event) -> str:
        """Return an event's digest, worked out once for all that was decided on it."""
        if id(evidence) not in self._digests:
            self._digests[id(evidence)] = evidence, digest(evidence)
        return self._digests[id(evidence)][1]

    def flush(self) -> None:
        """Write everything, a table at a time; messages go to the outbox in order."""
        states = [row.values() for row in self._changed.values() if row.is_new]
        if states:
            self.connection.execute(insert(ladder_states), states)
        update_many(
            self.connection,
            ladder_states,
            "account_id",
            [r.values() for r in self._changed.values() if not r.is_new],
        )
        if self._new_calls:
            self.connection.execute(insert(calls), list(self._new_calls.values()))
        update_many(
            self.connection,
            calls,
            "call_id",
            [{"call_id": i} | values for i, values in self._call_changes.items()],
        )
        if self._audit:
            self.connection.execute(insert(audit), self._audit)
        post(self.connection, self.messages)


def post(connection: Connection, messages: Sequence[Message]) -> None:
    """Put messages into the outbox, in order."""
    if messages:
        rows = [
            {
                "message_id": event.get("event_id") or deterministic_id(topic, event),
                "topic": topic,
                "event": event,
                "sent": False,
            }
            for topic, event in messages
        ]
        connection.execute(insert(outbox), rows)


def _load(connection: Connection, account_ids: Iterable[str]) -> dict[str, AccountRow]:
    found = {}
    for some in groups(list(dict.fromkeys(account_ids))):
        for row in connection.execute(_STATES, {"accounts": some}):
            found[row.account_id] = AccountRow(row.account_id, row)
    return found


def groups(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the values a query's worth at a time."""
    for start in range(0, len(values), _IN_ONE_QUERY):
        yield values[start : start + _IN_ONE_QUERY]


def update_many(connection: Connection, table: Table, key: str, rows: Sequence[dict[str, Any]]) -> None:
    """Change rows by their key, with one prepared statement for those that change the same columns."""
    by_columns: dict[tuple[str, ...], list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        by_columns[tuple(sorted(row))].append({f"to_{name}": value for name, value in row.items()})
    for columns, values in by_columns.items():
        connection.execute(_change(table, key, columns), values)


@functools.lru_cache(maxsize=64)
def _change(table: Table, key: str, columns: tuple[str, ...]) -> Update:
    """Return the statement that sets columns of a row, built once."""
    sets: dict[str, object] = {name: bindparam(f"to_{name}") for name in columns if name != key}
    return update(table).where(table.c[key] == bindparam(f"to_{key}")).values(**sets)
