"""The audit trail: every decision as an entry chained by hash to the account's one before it, so that no edit
goes unseen.

One chain an account, because accounts are decided independently; its head is kept beside the account's state,
so that cutting entries off the end shows too. FINRA 4220, SEC 17a-4 (audit-trail alternative).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, select

from margin_platform.store.store import Store
from margin_platform.store.tables import audit, ladder_states

GENESIS = "0" * 64


def entry_hash(previous: str, entry: dict[str, object]) -> str:
    """The hash of an entry after another: sha256 of the previous hash and the entry's canonical JSON."""
    return hashlib.sha256(previous.encode() + orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).hexdigest()


@dataclass(frozen=True)
class Broken:
    """A place where a chain does not hold."""

    account_id: str
    number: int
    reason: str


def verify(store: Store, account_id: str | None = None) -> tuple[int, list[Broken]]:
    """How many entries were checked, and every place where an account's chain is broken."""
    with store.read() as connection:
        entries = list(_entries(connection, account_id))
        heads = {
            row.account_id: (row.audit_count, row.audit_hash)
            for row in connection.execute(
                select(ladder_states.c.account_id, ladder_states.c.audit_count, ladder_states.c.audit_hash)
            )
            if account_id in (None, row.account_id)
        }
    broken: list[Broken] = []
    last: dict[str, tuple[int, str]] = {}
    for row in entries:
        count, previous = last.get(row.account_id, (0, GENESIS))
        if row.number != count + 1:
            broken.append(Broken(row.account_id, count + 1, f"entry {count + 1} is missing"))
        elif row.previous_hash != previous or row.hash != entry_hash(row.previous_hash, row.entry):
            broken.append(Broken(row.account_id, row.number, "the entry is not what was recorded"))
        last[row.account_id] = (row.number, row.hash)
    broken += [
        Broken(account, count, "the account's state, which ends its chain, is gone")
        for account, (count, _) in last.items()
        if account not in heads
    ]
    for account, (count, head) in heads.items():
        if last.get(account, (0, GENESIS)) != (count, head):
            broken.append(Broken(account, count, f"the chain does not end at entry {count}, where it should"))
    return len(entries), broken


def _entries(connection: Connection, account_id: str | None) -> Iterator[Row[Any]]:
    query = select(audit).order_by(audit.c.account_id, audit.c.number)
    if account_id is not None:
        query = query.where(audit.c.account_id == account_id)
    yield from connection.execute(query)
