"""The audit trail as the store keeps it: its records read at one moment, and whether they hold.

One chain an account, because accounts are decided independently; its head is kept beside the account's state.
What people did is one more chain, whose head is in `audit_heads`. FINRA 4220, SEC 17a-4(f)(2)(i)(A), the
audit-trail alternative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, select

from margin_platform.audit.anchors import Anchor, Leaf
from margin_platform.audit.entries import ACTS, Entry, canonical, digest
from margin_platform.audit.findings import Finding
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
    states = {row.account_id: row for row in connection.execute(_of(ladder_states, account_id))}
    heads = {account: Leaf(account, row.audit_count, row.audit_hash) for account, row in states.items()}
    others = connection.execute(_of(audit_heads, account_id))
    heads |= {row.account_id: Leaf(row.account_id, row.audit_count, row.audit_hash) for row in others}
    return Records(
        entries=by_chain(_entry(row) for row in connection.execute(_of(audit, account_id))),
        heads=heads,
        calls={row.call_id: _call(row) for row in connection.execute(_of(calls, account_id))},
        orders={
            row.order_id: _named(row, _ORDER) | {"event_hash": digest(row.event)}
            for row in connection.execute(_of(orders, account_id))
        },
        states={account: _named(row, _STATE) for account, row in states.items()},
        holds={
            row.account_id: _named(row, _HOLD) for row in connection.execute(_of(legal_holds, account_id))
        },
        anchors=anchors(connection),
    )


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
    rows = connection.execute(select(audit_anchors).order_by(audit_anchors.c.number))
    return [anchor_of(row) for row in rows]


def anchor_of(row: Any) -> Anchor:
    """Return the anchor of a row of `audit_anchors`."""
    leaves = tuple(Leaf(*leaf) for leaf in row.leaves)
    return Anchor(row.number, row.statement.encode(), row.signature, row.public_key, leaves)


def _of(table: Table, account_id: str | None) -> Select[Any]:
    query = select(table)
    return query if account_id is None else query.where(table.c.account_id.in_((account_id, ACTS)))


def _entry(row: Any) -> Entry:
    return Entry(
        row.account_id, row.number, row.decided_at, canonical(row.entry), row.previous_hash, row.hash
    )


def _call(row: Any) -> Row:
    return _named(row, _CALL) | {
        "evidence": canonical(row.evidence).decode(),
        "evidence_hash": digest(row.evidence),
    }


def _named(row: Any, names: Sequence[str]) -> Row:
    return {name: getattr(row, name) for name in names}
