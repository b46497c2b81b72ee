"""Anchors: the signed state of all chains at one moment, each chained to the anchor before it.

An anchor keeps the leaves that changed since the one before it: (account, entries, hash of the newest). The
root in its statement is over the newest leaf of every account, in order of account id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from margin_platform.audit import merkle
from margin_platform.audit.entries import ANCHORS, GENESIS, canonical, of_type
from margin_platform.audit.signing import public_text, signature
from margin_platform.contracts.bounds import TIME

_NO_STATEMENT = {"number": 0, "day": "?", "at_ms": 0, "by": "?", "accounts": 0, "entries": 0, "root": "?"} | {
    "previous": "?"
}
ANCHOR = "ANCHOR"  # decision of an anchor's event on audit.v1


class Leaf(NamedTuple):
    """Where one chain stands: how many entries it has, and the hash of the newest."""

    account_id: str
    entries: int
    hash: str


def leaf_of(parts: Sequence[object]) -> Leaf:
    """Return the leaf of account, entries and hash. ValueError or TypeError where they are none."""
    account_id, entries, hashed = parts
    return Leaf(of_type(str, account_id), of_type(int, entries), of_type(str, hashed))


@dataclass(frozen=True)
class Anchor:
    """One anchor.

    text: the canonical JSON that is signed; leaves: those that changed since the anchor before.
    """

    number: int
    text: bytes
    signature: str
    public_key: str
    leaves: tuple[Leaf, ...]

    @cached_property
    def statement(self) -> dict[str, Any]:
        """What is signed, field by field; nothing that fits any chain where the text is no statement."""
        try:
            found = orjson.loads(self.text)
            whole = all(isinstance(found[name], type(value)) for name, value in _NO_STATEMENT.items())
        except (ValueError, KeyError, TypeError):
            whole = False
        return found if whole and 0 <= found["at_ms"] < TIME[1] else dict(_NO_STATEMENT)

    @property
    def hash(self) -> str:
        """The sha256 of the signed text."""
        return hashlib.sha256(self.text).hexdigest()


def root_of(heads: Mapping[str, Leaf]) -> str:
    """Return the root over the newest leaf of every chain."""
    return merkle.root(hashes_of(heads))


def hashes_of(heads: Mapping[str, Leaf]) -> list[bytes]:
    """Return the leaf hashes of all chains, in order of account id."""
    return [merkle.leaf_hash(canonical(list(heads[account]))) for account in sorted(heads)]


def make(
    heads: Mapping[str, Leaf],
    before: Sequence[Anchor],
    key: Ed25519PrivateKey,
    *,
    day: str,
    at_ms: int,
    by: str,
) -> Anchor:
    """Return the next anchor over all chains.

    day: the New York day it closes; at_ms: wall clock; by: who made it.
    """
    known = newest_leaves(before)
    last = before[-1] if before else None
    public = public_text(key)
    number = last.number + 1 if last else 1
    text = canonical(
        {
            "format": 1,
            "number": number,
            "day": day,
            "at_ms": at_ms,
            "by": by,
            "accounts": len(heads),
            "entries": sum(leaf.entries for leaf in heads.values()),
            "root": root_of(heads),
            "previous": last.hash if last else GENESIS,
            "public_key": public,
        }
    )
    changed = tuple(heads[account] for account in sorted(heads) if known.get(account) != heads[account])
    return Anchor(number, text, signature(key, text), public, changed)


def newest_leaves(anchors: Sequence[Anchor]) -> dict[str, Leaf]:
    """Return each chain's leaf as of the last of some anchors."""
    found: dict[str, Leaf] = {}
    for anchor in anchors:
        found |= {leaf.account_id: leaf for leaf in anchor.leaves}
    return found


def event_of(anchor: Anchor) -> dict[str, Any]:
    """Return the audit.v1 event of an anchor.

    Its id follows from what is signed, so that repeating doubles nothing.
    """
    return {
        "event_id": anchor.hash[:24],
        "account_id": ANCHORS,
        "decision": ANCHOR,
        "anchor": anchor.number,
        "hash": anchor.hash,
        "statement": anchor.text.decode(),
        "signature": anchor.signature,
        "public_key": anchor.public_key,
        "timestamp": anchor.statement["at_ms"],
    }


def document_of(anchor: Anchor) -> dict[str, Any]:
    """Return an anchor with its leaves, as it stands in an export and in the archive."""
    return {
        "number": anchor.number,
        "statement": anchor.text.decode(),
        "signature": anchor.signature,
        "public_key": anchor.public_key,
        "leaves": [list(leaf) for leaf in anchor.leaves],
    }


def from_document(found: Mapping[str, Any]) -> Anchor:
    """Return the anchor of a document."""
    leaves = tuple(map(leaf_of, found["leaves"]))
    signed = of_type(str, found["signature"]), of_type(str, found["public_key"])
    return Anchor(of_type(int, found["number"]), found["statement"].encode(), *signed, leaves)
