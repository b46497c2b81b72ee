"""The audit trail as the store keeps it: its records read at one moment, and whether they hold.

One chain an account, because accounts are decided independently; its head is kept beside the account's state.
What people did is one more chain, whose head is in `audit_heads`. FINRA 4220, SEC 17a-4(f)(2)(i)(A), the
audit-trail alternative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Result, Select, Table, select

from margin_platform.audit.anchors import Anchor, Leaf, leaf_of
from margin_platform.audit.entries import ACTS, Entry, canonical, digest, of_type
from margin_platform.audit.findings import MISSHAPEN, NO_ACCOUNT, Finding, Kind
from margin_platform.audit.records import Records, Row, by_chain
from margin_platform.audit.verification import verify as findings_of
from margin_platform.store.store import Store
from margin_platform.store.tables import (
    audit,
    audit_anchors,
    audit_heads,
    calls,
    ladder_states,
    legal_holds,
    orders,
)

_CALL = (
    "call_id",
    "account_id",
    "opened_at",
    "due_at",
    "issued",
    "outstanding",
    "status",
    "closed_at",
    "calc_id",
    "run_id",
    "source",
)
_ORDER = ("order_id", "account_id", "call_id", "attempt", "status", "event")
_STATE = ("status", "restricted", "state")
_HOLD = ("since_wall", "who", "why")
_ANCHORS = select(audit_anchors).order_by(audit_anchors.c.number)
DatabaseRow = Any  # columns by name
Rows = Result[DatabaseRow]
Query = Select[DatabaseRow]
T = TypeVar("T")


def verify(
    store: Store, account_id: str | None = None, *, trusted: Sequence[str] = ()
) -> tuple[int, list[Finding]]:
    """Return how many entries were checked, and every place where the records of an account do not hold.

    trusted: public keys that may have signed anchors, as 64 hexadecimal digits.
    """
    with store.read() as connection:
        found = records(connection, account_id)
    return found.count, findings_of(found, trusted=trusted, account=account_id)


def records(connection: Connection, account_id: str | None = None) -> Records:
    """Return the records of one account, or of all, as they stand in this transaction.

    What people did and the anchors are there in either case: legal holds and chains are compared with them.
    """
    found = Records()

    def read(table: Table, build: Callable[[DatabaseRow], T], query: Query | None = None) -> Iterator[T]:
        rows = connection.execute(_of(table, account_id) if query is None else query)
        yield from _built(rows, table.name, build, found.unreadable)

    for account, head, state in read(ladder_states, lambda row: (row.account_id, _head(row), _state(row))):
        found.heads[account], found.states[account] = head, state
    found.heads |= {head.account_id: head for head in read(audit_heads, _head)}
    found.entries = by_chain(read(audit, _entry))
    found.calls = {row["call_id"]: row for row in read(calls, _call)}
    found.orders = {row["order_id"]: row for row in read(orders, _order)}
    found.holds = dict(read(legal_holds, lambda row: (row.account_id, _named(row, _HOLD))))
    found.anchors = list(read(audit_anchors, anchor_of, _ANCHORS))
    return found


def _built(
    rows: Rows, table: str, build: Callable[[DatabaseRow], T], unreadable: list[Finding]
) -> Iterator[T]:
    """Yield what is built of each row; name each that nothing can be built of, so that it hides no other."""
    number = 0
    while True:
        number += 1
        try:
            row = rows.fetchone()
            if row is None:
                return
            built = build(row)
        except MISSHAPEN as error:
            reason = f"row {number} of {table} does not have the form of one ({type(error).__name__})"
            unreadable.append(Finding(NO_ACCOUNT, Kind.UNREADABLE, number, reason))
        else:
            yield built


def entries_of(connection: Connection, account_id: str) -> list[Entry]:
    """Return the entries of one chain, in order of number."""
    mine = select(audit).where(audit.c.account_id == account_id)
    rows = connection.execute(mine.order_by(audit.c.number))
    return [_entry(row) for row in rows]


def heads(connection: Connection) -> dict[str, Leaf]:
    """Return where each chain ends, of the chains that have entries."""
    found: dict[str, Leaf] = {}
    for table in (ladder_states, audit_heads):
        ends = select(table.c.account_id, table.c.audit_count, table.c.audit_hash).where(
            table.c.audit_count > 0
        )
        found |= {
            account: Leaf(account, count, hashed) for account, count, hashed in connection.execute(ends)
        }
    return found


def anchors(connection: Connection) -> list[Anchor]:
    """Return the anchors in order of their number."""
    return [anchor_of(row) for row in connection.execute(_ANCHORS)]


def anchor_of(row: DatabaseRow) -> Anchor:
    """Return the anchor of a row of `audit_anchors`."""
    leaves = tuple(map(leaf_of, row.leaves))
    return Anchor(row.number, row.statement.encode(), row.signature, row.public_key, leaves)


def _of(table: Table, account_id: str | None) -> Query:
    query = select(table)
    return query if account_id is None else query.where(table.c.account_id.in_((account_id, ACTS)))


def _entry(row: DatabaseRow) -> Entry:
    place = of_type(str, row.account_id), of_type(int, row.number), of_type(int, row.decided_at)
    return Entry(*place, canonical(row.entry), of_type(str, row.previous_hash), of_type(str, row.hash))


def _head(row: DatabaseRow) -> Leaf:
    return leaf_of((row.account_id, row.audit_count, row.audit_hash))


def _state(row: DatabaseRow) -> Row:
    return _named(row, _STATE) | {"state": of_type(dict, row.state)}


def _order(row: DatabaseRow) -> Row:
    event = of_type(dict, row.event)
    return _named(row, _ORDER) | {"event_hash": digest(event)}


def _call(row: DatabaseRow) -> Row:
    of_type(int, row.due_at), of_type(str, row.account_id)
    return _named(row, _CALL) | {
        "evidence": canonical(row.evidence).decode(),
        "evidence_hash": digest(row.evidence),
    }


def _named(row: DatabaseRow, names: Sequence[str]) -> Row:
    return {name: getattr(row, name) for name in names}
