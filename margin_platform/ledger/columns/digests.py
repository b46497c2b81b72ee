"""Digests of many texts at once, compiled: byte for byte those of `KnownIds`, which takes one event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk
from margin_platform.ledger.columns.blake2b import digest
from margin_platform.ledger.columns.texts import Bytes, Numbers, Texts

Digests = NDArray[np.int64]  # (texts, 2), the bytes of a digest

_BETWEEN = ord("\x1f")  # the parts of a text


def _entry(
    prefix: int, raw: Bytes, first: Numbers, last: Numbers, size: int, room: Bytes, found: Digests
) -> None:
    block, state = np.empty(16, dtype=np.uint64), np.empty(8, dtype=np.uint64)
    for n in range(len(found)):
        at = prefix
        for part in range(len(first)):
            if part > 0:
                room[at] = _BETWEEN
                at += 1
            for k in range(first[part, n], last[part, n]):
                room[at] = raw[k]
                at += 1
        digest(room, at, size, block, state)
        found[n, 0], found[n, 1] = state[0], state[1]


_digests = kept_on_disk(_entry)


def digests_of(prefix: bytes, parts: Sequence[Texts], size: int) -> Digests:
    """Return digests of so many bytes, at most 16, of texts that begin alike and are given part by part."""
    raws = {id(part.raw): part.raw for part in parts}  # many are of the same messages
    starts = dict(zip(raws, np.cumsum([0, *map(len, raws.values())]).tolist(), strict=False))
    first = np.stack([part.first + starts[id(part.raw)] for part in parts])
    last = np.stack([part.last + starts[id(part.raw)] for part in parts])
    room = np.empty(len(prefix) + sum(part.longest + 1 for part in parts), dtype=np.uint8)
    room[: len(prefix)] = np.frombuffer(prefix, dtype=np.uint8)
    found = np.empty((first.shape[1], 2), dtype=np.int64)
    _digests(len(prefix), np.concatenate([*raws.values()]), first, last, size, room, found)
    return found
