"""Chains by themselves: each entry follows the one before it, is about its own account, and the last one
is the head.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from margin_platform.audit.anchors import Leaf
from margin_platform.audit.entries import GENESIS, Entry, text_hash
from margin_platform.audit.findings import Finding, Kind, guarded
from margin_platform.audit.records import Records


def check(records: Records) -> Iterator[Finding]:
    """Yield every place where a chain does not hold."""
    for account in sorted(records.entries.keys() | records.heads.keys()):
        entries = records.entries.get(account, [])
        yield from guarded(account, 0, partial(_links, account, entries))
        yield from _end(account, entries, records.heads.get(account))


def _links(account: str, entries: list[Entry]) -> Iterator[Finding]:
    count, previous = 0, GENESIS
    for entry in entries:
        if entry.number != count + 1:
            yield Finding(account, Kind.ENTRY_MISSING, count + 1, f"entry {count + 1} is missing")
        elif entry.previous_hash != previous or entry.hash != text_hash(entry.previous_hash, entry.text):
            yield Finding(account, Kind.ENTRY_CHANGED, entry.number, "the entry is not what was recorded")
        named, at = entry.content.get("account_id"), entry.content.get("timestamp")
        if named != account:
            yield Finding(
                account, Kind.ACCOUNT_SWAPPED, entry.number, f"the entry was recorded of account {named}"
            )
        if at != entry.decided_at:
            yield Finding(
                account,
                Kind.TIME_CHANGED,
                entry.number,
                f"decided_at is {entry.decided_at}, recorded was {at}",
            )
        count, previous = entry.number, entry.hash


def _end(account: str, entries: list[Entry], head: Leaf | None) -> Iterator[Finding]:
    count = entries[-1].number if entries else 0
    if head is None:
        yield Finding(account, Kind.CHAIN_CUT, count, "the account's state, which ends its chain, is gone")
    elif (count, entries[-1].hash if entries else GENESIS) != (head.entries, head.hash) and (
        entries or head.entries
    ):
        reason = f"the chain does not end at entry {head.entries}, where it should"
        yield Finding(account, Kind.CHAIN_CUT, head.entries, reason)
