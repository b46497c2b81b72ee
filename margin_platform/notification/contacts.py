"""Where each account receives its notices:
the contact of accounts.v1, kept in the store and read on from where it was left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, bindparam, delete, insert, select

from margin_platform.contracts.messages import ACCOUNTS, BadEvent, decode
from margin_platform.contracts.offsets import Record, Span
from margin_platform.kafka.event_log import EventLog
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from margin_platform.store.tables import contacts
from margin_platform.store.unit_of_work import groups

# what else is to happen in the transaction that keeps contacts, by account
Changed = Callable[[Connection, Mapping[str, Mapping[str, object]]], None]
_SAME = contacts.c.account_id.in_(bindparam("of", expanding=True))
_KNOWN, _DROP = (
    select(contacts.c.account_id, contacts.c.updated_at).where(_SAME),
    delete(contacts).where(_SAME),
)


def refresh(store: Store, bus: EventLog, changed: Changed) -> int:
    """Take in accounts.v1 from where the store stands;
    call `changed` with accounts and their contacts, and return how many there are.
    """
    with store.read() as connection:
        done = {
            p.partition: p.next_offset
            for p in progress.everything(connection)
            if p.consumer == Consumer.CONTACTS
        }
    oldest = bus.beginning_offsets(ACCOUNTS)
    unread = [
        Span(ACCOUNTS, partition, start, end)
        for partition, end in bus.end_offsets(ACCOUNTS).items()
        if (start := done.get(partition, oldest[partition])) < end
    ]
    records = [
        r
        for s in unread
        for r in bus.read_range(ACCOUNTS, s.partition, max(s.start, oldest[s.partition]), s.end)
    ]
    return _keep(store, records, unread, changed) if unread else 0


def _keep(store: Store, records: list[Record], read: list[Span], changed: Changed) -> int:
    found: dict[str, tuple[int, dict[str, object]]] = {}
    for record in records:
        try:
            event = decode(ACCOUNTS, record.value)
        except BadEvent:
            continue  # the margin stream reads the same topic and sends it to dead_letter.v1
        if event.get("contact") and event["timestamp"] >= found.get(event["account_id"], (0, {}))[0]:
            found[event["account_id"]] = (event["timestamp"], event["contact"])
    with store.write() as connection:
        for some in groups(list(found)):
            known = {row.account_id: row.updated_at for row in connection.execute(_KNOWN, {"of": some})}
            newer = {a: found[a] for a in some if found[a][0] >= known.get(a, found[a][0])}
            if not newer:
                continue
            connection.execute(_DROP, {"of": list(newer)})
            rows = [{"account_id": a, "contact": c, "updated_at": at} for a, (at, c) in newer.items()]
            connection.execute(insert(contacts), rows)
            changed(connection, {account_id: contact for account_id, (_, contact) in newer.items()})
        for span in read:
            progress.advance(connection, Consumer.CONTACTS, span)
    return len(found)
