"""What audit.v1 holds, outside of the database: its entries and anchors against those of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, select

from margin_platform.audit import comparison
from margin_platform.audit.anchors import ANCHOR, Anchor
from margin_platform.audit.entries import ANCHORS, Entry, canonical, text_hash
from margin_platform.audit.findings import Finding, Kind
from margin_platform.audit.records import Records, by_chain
from margin_platform.contracts.messages import AUDIT, Event
from margin_platform.kafka.bus import Bus
from margin_platform.store.tables import outbox

_LINK = ("event_id", "number", "previous_hash", "hash")  # what an event says beside its entry


@dataclass
class Published:
    """Entries by chain, and anchors without their leaves."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)


def read(bus: Bus) -> Published:
    """Return what is on audit.v1 now. An event that was sent twice counts once."""
    entries: dict[tuple[str, int, str], Entry] = {}
    anchors: dict[str, Anchor] = {}
    for found in bus.read_all(AUDIT):
        event = orjson.loads(found.value or b"{}")
        if event.get("decision") == ANCHOR and event.get("account_id") == ANCHORS:
            text = event["statement"].encode()
            anchor = Anchor(event["anchor"], text, event["signature"], event["public_key"], ())
            anchors[anchor.hash] = anchor
        elif "number" in event:
            entry = _entry(event)
            entries[entry.account_id, entry.number, entry.hash] = entry
    return Published(by_chain(entries.values()), sorted(anchors.values(), key=lambda anchor: anchor.number))


def _entry(event: Event) -> Entry:
    """The entry of an event, with the hash that its own content has."""
    text = canonical({name: value for name, value in event.items() if name not in _LINK})
    previous = event["previous_hash"]
    return Entry(
        event["account_id"], event["number"], event["timestamp"], text, previous, text_hash(previous, text)
    )


def pending(connection: Connection) -> frozenset[str]:
    """Return the ids of audit.v1 events that are still in the outbox."""
    waiting = select(outbox.c.message_id).where(outbox.c.topic == AUDIT, outbox.c.sent.is_(False))
    return frozenset(connection.execute(waiting).scalars())


def check(
    records: Records, published: Published, waiting: frozenset[str], account: str | None = None
) -> Iterator[Finding]:
    """Yield what the store has otherwise than audit.v1. account: the only one to compare."""
    chains = {chain: entries for chain, entries in published.entries.items() if account in (None, chain)}
    yield from comparison.entries_of(records, chains, AUDIT)
    yield from comparison.anchors_of(records, published.anchors, AUDIT)
    known = {entry.hash for entries in chains.values() for entry in entries}
    for chain, entries in records.entries.items():
        for entry in entries if account in (None, chain) else ():
            if entry.hash not in known and entry.hash[:24] not in waiting:
                yield Finding(chain, Kind.UNPUBLISHED, entry.number, "the entry never was on audit.v1")
                break
    sent = {anchor.hash for anchor in published.anchors}
    for anchor in records.anchors:
        if anchor.hash not in sent and anchor.hash[:24] not in waiting:
            yield Finding(ANCHORS, Kind.UNPUBLISHED, anchor.number, "the anchor never was on audit.v1")
