"""Where each account wants to be told: the contact of accounts.v1, kept in the store and read on from where it was left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from margin_platform.bus import Bus, Record
from margin_platform.events import ACCOUNTS, BadEvent, decode
from margin_platform.store import Store
from margin_platform.store.tables import contacts, processed

_CONSUMER = "contacts"


Changed = Callable[[Connection, str, Mapping[str, Any]], None]   # what else is to happen in the transaction that keeps a contact


def refresh(store: Store, bus: Bus, changed: Changed) -> int:
    """Takes in accounts.v1 from where the store stands, telling of each account and contact; returns how many there were."""
    with store.read() as connection:
        done = {
            partition: offset + 1
            for partition, offset in connection.execute(
                select(processed.c.partition, func.max(processed.c.offset)).where(processed.c.consumer == _CONSUMER)
                .group_by(processed.c.partition)
            ).all()
        }
    oldest = bus.beginning_offsets(ACCOUNTS)
    fresh: list[Record] = []
    for partition, end in bus.end_offsets(ACCOUNTS).items():
        start = max(done.get(partition, 0), oldest[partition])
        if end > start:
            fresh += bus.read_range(ACCOUNTS, partition, start, end)
    return _keep(store, fresh, changed) if fresh else 0


def _keep(store: Store, records: list[Record], changed: Changed) -> int:
    found: dict[str, tuple[int, dict[str, Any]]] = {}
    for record in records:
        try:
            event = decode(ACCOUNTS, record.value)
        except BadEvent:
            continue   # the margin stream reads the same topic and sends it to dead_letter.v1
        if event.get("contact") and event["timestamp"] >= found.get(event["account_id"], (0, {}))[0]:
            found[event["account_id"]] = (event["timestamp"], event["contact"])
    with store.write() as connection:
        for account_id, (at, contact) in found.items():
            known = connection.execute(select(contacts.c.updated_at).where(contacts.c.account_id == account_id)).scalar_one_or_none()
            if known is None or at >= known:
                connection.execute(delete(contacts).where(contacts.c.account_id == account_id))
                connection.execute(insert(contacts).values(account_id=account_id, contact=contact, updated_at=at))
                changed(connection, account_id, contact)
        for partition in {r.partition for r in records}:
            last = max(r.offset for r in records if r.partition == partition)
            same = (processed.c.consumer == _CONSUMER) & (processed.c.partition == partition)
            connection.execute(delete(processed).where(same))
            connection.execute(insert(processed).values(consumer=_CONSUMER, topic=ACCOUNTS, partition=partition, offset=last))
    return len(found)
