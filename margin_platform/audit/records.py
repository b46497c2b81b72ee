"""The records that verification compares, as plain data: from a store or from an export, the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from margin_platform.audit.anchors import Anchor, Leaf
from margin_platform.audit.entries import ACTS, Entry
from margin_platform.audit.findings import Finding

Row = dict[str, Any]
_STANDING = ("close_only", "stress_restricted", "expired", "liquidations", "held")
_CALL = ("call_id", "opened_at", "due_at", "issued")


@dataclass
class Records:
    """Everything about some chains.

    entries: by chain, in order of number; heads: where each chain ends; calls and orders: by id, as columns
    of their tables, a call with `evidence_hash` and an order with `event_hash`; states: by account, `status`,
    `restricted` and the ladder's `state`; holds: accounts under legal hold; unreadable: rows that are none of
    these, which are not among them.
    """

    entries: dict[str, list[Entry]] = field(default_factory=dict)
    heads: dict[str, Leaf] = field(default_factory=dict)
    calls: dict[str, Row] = field(default_factory=dict)
    orders: dict[str, Row] = field(default_factory=dict)
    states: dict[str, Row] = field(default_factory=dict)
    holds: dict[str, Row] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)
    unreadable: list[Finding] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Number of entries."""
        return sum(len(entries) for entries in self.entries.values())

    @property
    def of_format_1(self) -> int:
        """Number of entries from before evidence was hashed."""
        return sum(entry.is_format_1 for entries in self.entries.values() for entry in entries)

    @property
    def acts(self) -> Sequence[Entry]:
        """What people did, in order."""
        return self.entries.get(ACTS, ())


def by_chain(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return entries by chain, in order of number."""
    found: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.account_id, entry.number)):
        found.setdefault(entry.account_id, []).append(entry)
    return found


def standing_of(status: str, restricted: bool, state: Row) -> Row:
    """Return what an entry of format 2 holds of the account after it: only what no undecided event changes.

    state: the ladder's state as JSON. The deficiency that is outstanding follows every price, and is not in
    it.
    """
    call = state.get("call")
    return {
        "status": status,
        "restricted": bool(restricted),
        "call": {name: call[name] for name in _CALL} if call else None,
        **{name: state.get(name) for name in _STANDING},
    }
