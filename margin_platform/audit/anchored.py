"""Anchors against the chains: what was signed then is still there, entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from margin_platform.audit.anchors import Anchor, Leaf, root_of
from margin_platform.audit.entries import ANCHORS, GENESIS
from margin_platform.audit.findings import Finding, Kind, guarded
from margin_platform.audit.records import Records
from margin_platform.audit.signing import is_signed


def check(records: Records, trusted: Sequence[str], account: str | None = None) -> Iterator[Finding]:
    """Yield every anchor that does not hold, and every chain that is not what an anchor signed.

    trusted: public keys that may sign; where there is none, each anchor's own is taken. account: the only
    chain to compare.
    """
    yield from guarded(ANCHORS, 0, partial(_anchors, records.anchors, trusted))
    named: set[str] = set()
    for anchor in records.anchors:
        for leaf in anchor.leaves:
            if leaf.account_id in named or account not in (None, leaf.account_id):
                continue
            if (found := _leaf(records, leaf, anchor)) is not None:
                named.add(leaf.account_id)
                yield found


def _anchors(anchors: Sequence[Anchor], trusted: Sequence[str]) -> Iterator[Finding]:
    number, previous = 0, GENESIS
    heads: dict[str, Leaf] = {}
    for anchor in anchors:
        said = anchor.statement
        heads |= {leaf.account_id: leaf for leaf in anchor.leaves}
        if anchor.number != number + 1:
            yield Finding(ANCHORS, Kind.ANCHOR_MISSING, number + 1, f"anchor {number + 1} is missing")
        elif (said["number"], said["previous"]) != (anchor.number, previous):
            yield Finding(
                ANCHORS, Kind.ANCHOR_CHANGED, anchor.number, "the anchor does not follow the one before it"
            )
        if root_of(heads) != said["root"]:
            yield Finding(
                ANCHORS, Kind.ANCHOR_CHANGED, anchor.number, "the leaves are not those that were signed"
            )
        if anchor.public_key not in (trusted or [anchor.public_key]):
            reason = f"signed with another key, {anchor.public_key[:16]}..."
            yield Finding(ANCHORS, Kind.ANCHOR_UNSIGNED, anchor.number, reason)
        elif not is_signed(anchor.public_key, anchor.text, anchor.signature):
            yield Finding(ANCHORS, Kind.ANCHOR_UNSIGNED, anchor.number, "the signature is not of this anchor")
        number, previous = anchor.number, anchor.hash


def _leaf(records: Records, leaf: Leaf, anchor: Anchor) -> Finding | None:
    return missing_or_rewritten(records, leaf, f"anchor {anchor.number} of {anchor.statement['day']}")


def missing_or_rewritten(records: Records, leaf: Leaf, source: str) -> Finding | None:
    """Return what became of an entry that a source outside of the chain knows;
    None where it is still there.
    """
    entries = records.entries.get(leaf.account_id, [])
    if not entries:
        reason = f"{source} has {leaf.entries} entries of it, the store has none"
        return Finding(leaf.account_id, Kind.ACCOUNT_DELETED, leaf.entries, reason)
    last = entries[-1].number
    if last < leaf.entries:
        reason = f"{source} has {leaf.entries} entries, the chain ends at {last}"
        return Finding(leaf.account_id, Kind.CHAIN_CUT, last + 1, reason)
    found = next((entry for entry in entries if entry.number == leaf.entries), None)
    if found is None:
        reason = f"{source} has entry {leaf.entries}, the store has not"
        return Finding(leaf.account_id, Kind.ENTRY_MISSING, leaf.entries, reason)
    if found.hash != leaf.hash:
        reason = f"entry {leaf.entries} is not the one that {source} has"
        return Finding(leaf.account_id, Kind.CHAIN_REWRITTEN, leaf.entries, reason)
    return None
