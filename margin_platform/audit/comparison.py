"""Records against a copy kept elsewhere: an export, or what was published on audit.v1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from margin_platform.audit.anchored import missing_or_rewritten
from margin_platform.audit.anchors import Anchor, Leaf
from margin_platform.audit.entries import ANCHORS, Entry
from margin_platform.audit.findings import Finding, Kind
from margin_platform.audit.records import Records, Row

_OF_CALL = ("account_id", "opened_at", "due_at", "evidence_hash")
_OF_ORDER = ("account_id", "event_hash")


def entries_of(records: Records, copy: Mapping[str, Sequence[Entry]], source: str) -> Iterator[Finding]:
    """Yield the first entry of each chain that the copy has otherwise. source: how the copy is called."""
    for account, entries in copy.items():
        for entry in entries:
            found = missing_or_rewritten(records, Leaf(account, entry.number, entry.hash), source)
            if found is not None:
                yield found
                break


def anchors_of(records: Records, copy: Iterable[Anchor], source: str) -> Iterator[Finding]:
    """Yield the anchors that the copy has otherwise."""
    known = {anchor.number: anchor for anchor in records.anchors}
    for anchor in copy:
        found = known.get(anchor.number)
        if found is None:
            yield Finding(ANCHORS, Kind.ANCHOR_MISSING, anchor.number, f"{source} has it, the store has not")
        elif found.hash != anchor.hash:
            yield Finding(ANCHORS, Kind.ANCHOR_CHANGED, anchor.number, f"it is not the one that {source} has")


def export(records: Records, copy: Records, account: str | None = None) -> Iterator[Finding]:
    """Yield what became different since an export: chains, anchors, calls and orders.

    account: the only one to compare.
    """
    chains = {chain: entries for chain, entries in copy.entries.items() if account in (None, chain)}
    yield from entries_of(records, chains, "the export")
    yield from anchors_of(records, copy.anchors, "the export")
    yield from _rows(
        records.calls, copy.calls, _OF_CALL, account, (Kind.CALL_DELETED, Kind.CALL_CHANGED), "call"
    )
    yield from _rows(
        records.orders, copy.orders, _OF_ORDER, account, (Kind.ORDER_DELETED, Kind.ORDER_CHANGED), "order"
    )


def _rows(
    found: Mapping[str, Row],
    copy: Mapping[str, Row],
    names: Sequence[str],
    account: str | None,
    kinds: tuple[Kind, Kind],
    word: str,
) -> Iterator[Finding]:
    gone, changed = kinds
    for row_id, row in copy.items():
        if account not in (None, row["account_id"]):
            continue
        if row_id not in found:
            yield Finding(row["account_id"], gone, 0, f"the export has {word} {row_id}, the store has not")
        elif different := [name for name in names if found[row_id][name] != row.get(name)]:
            reason = f"{word} {row_id}: {different[0]} is not the one that the export has"
            yield Finding(row["account_id"], changed, 0, reason)
