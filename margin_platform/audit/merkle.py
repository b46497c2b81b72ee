"""The Merkle tree over all chains: one root commits to every account.

Leaves and nodes are hashed with different first bytes, and an odd node is not doubled, as in RFC 6962,
section 2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").hexdigest()


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves: Sequence[bytes]) -> str:
    """Return the root of leaf hashes in order, as 64 hexadecimal digits."""
    return _root(list(leaves)).hex() if leaves else EMPTY


def _root(level: list[bytes]) -> bytes:
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _next_level(level: list[bytes]) -> list[bytes]:
    """Hash neighbors in pairs; the odd one at the end moves up as it is."""
    pairs = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return pairs + level[-1:] if len(level) % 2 else pairs


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
