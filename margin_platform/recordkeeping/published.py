"""What audit.v1 holds, outside of the database: its entries and anchors against those of the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from margin_platform.audit import comparison
from margin_platform.audit.anchors import ANCHOR, Anchor
from margin_platform.audit.entries import ANCHORS, Entry, canonical, text_hash
from margin_platform.audit.findings import Finding, Kind
from margin_platform.audit.records import Records, by_chain
from margin_platform.contracts.events.decisions import ChainedEntry, PublishedAnchor
from margin_platform.contracts.events.declarations import Checker
from margin_platform.contracts.messages import AUDIT, BadEvent, Event, decode
from margin_platform.kafka.bus import Bus
from margin_platform.store.tables import outbox

_LINK = ("event_id", "number", "previous_hash", "hash")  # what an event carries beside its entry
_CHAINED, _ANCHORED = Checker(ChainedEntry), Checker(PublishedAnchor)


@dataclass
class Published:
    """Entries by chain, anchors without their leaves, and messages that are neither."""

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)
    foreign: list[Finding] = field(default_factory=list)


def read(bus: Bus, *, foreign_since: int = 0) -> Published:
    """Return what is on audit.v1 now. An event that was sent twice counts once.

    A message that is no entry and no anchor was not written by the platform: it is named where it was
    produced at or after a time (epoch milliseconds), and hides none.
    """
    entries: dict[tuple[str, int, str], Entry] = {}
    anchors: dict[str, Anchor] = {}
    foreign: list[Finding] = []
    for found in bus.read_all(AUDIT):
        try:
            event = decode(AUDIT, found.value)
            if event.get("decision") == ANCHOR and event["account_id"] == ANCHORS:
                anchor = _anchor(event)
                anchors[anchor.hash] = anchor
            elif "number" in event:
                entry = _entry(event)
                entries[entry.account_id, entry.number, entry.hash] = entry
        except BadEvent as error:
            if found.timestamp_ms < foreign_since:
                continue
            where = f"{AUDIT}[{found.partition}]@{found.offset}"
            foreign.append(Finding(AUDIT, Kind.FOREIGN, 0, f"{where}: {error}"))
    ordered = sorted(anchors.values(), key=lambda anchor: anchor.number)
    return Published(by_chain(entries.values()), ordered, foreign)


def _anchor(event: Event) -> Anchor:
    _ANCHORED(event)
    return Anchor(event["anchor"], event["statement"].encode(), event["signature"], event["public_key"], ())


def _entry(event: Event) -> Entry:
    """Build the entry of an event, with the hash that its own content has."""
    _CHAINED(event)
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
    yield from published.foreign
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
