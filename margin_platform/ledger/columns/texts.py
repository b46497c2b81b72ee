"""Texts as columns: where each stands among the bytes of many, and an index of numbers by text. Compiled.

The index is open addressing by a hash of 64 bits. A text is found only where its bytes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel
from margin_platform.ledger.columns.growing_table import GrowingTable

NOT_THERE = -1
NOTHING = -1  # where no text begins
LONGEST_PACKED = 7  # bytes of a text that has a number of its own; the eighth is its length
_FULLEST = 0.5  # so most texts are where they are looked for first
_OFFSET, _PRIME = -3750763034362895579, 1099511628211  # FNV-1a, as signed integers

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Slots = NDArray[np.int32]


class Texts(NamedTuple):
    """Text n is raw[first[n]:last[n]] in UTF-8; there is none where `first` is NOTHING."""

    raw: Bytes
    first: Numbers
    last: Numbers

    @classmethod
    def of(cls, names: Sequence[str]) -> Texts:
        """Return these texts as a column."""
        encoded = [name.encode() for name in names]
        sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
        last = np.cumsum(sizes)
        return cls(np.frombuffer(bytearray().join(encoded), np.uint8), last - sizes, last)

    @property
    def there(self) -> Mask:
        """Which texts there are."""
        return np.asarray(self.first != NOTHING)

    @property
    def longest(self) -> int:
        """The most bytes of one of them."""
        return int((self.last - self.first).max(initial=0))

    def take(self, rows: Numbers) -> Texts:
        """Return some of them."""
        return Texts(self.raw, self.first[rows], self.last[rows])

    def packed(self) -> NDArray[np.uint64]:
        """Return a number for each text, of at most LONGEST_PACKED bytes, that only the same text has; 0 for
        none.
        """
        size = np.where(self.there, self.last - self.first, 0)
        place = np.arange(LONGEST_PACKED)
        inside = place < size[:, None]
        found = np.zeros((len(size), LONGEST_PACKED + 1), dtype=np.uint8)
        found[:, :-1][inside] = self.raw[(self.first[:, None] + place)[inside]]
        found[:, -1] = size
        return found.view(np.uint64)[:, 0]

    def encoded(self) -> list[bytes]:
        """Return them as bytes, none where there is no text."""
        raw = self.raw.tobytes()
        spans = zip(self.first.tolist(), self.last.tolist(), strict=True)
        return [raw[first:last] if first != NOTHING else b"" for first, last in spans]

    def strings(self) -> list[str]:
        """Return them as strings, an empty one where there is none."""
        return [*map(bytes.decode, self.encoded())]


@kernel
def _hash_of(raw: Bytes, first: int, last: int) -> int:
    code = _OFFSET
    for k in range(first, last):
        code = (code ^ raw[k]) * _PRIME
    return code ^ (code >> 32)


@kernel
def _is(known: Bytes, ends: Numbers, number: int, raw: Bytes, first: int, last: int) -> bool:
    begin, size, same = ends[number], last - first, 0
    if ends[number + 1] - begin != size:
        return False
    while same < size and known[begin + same] == raw[first + same]:
        same += 1
    return same == size


@kernel
def _slot_of(known: Bytes, ends: Numbers, slots: Slots, code: int, raw: Bytes, first: int, last: int) -> int:
    """Return the slot that holds the number of a text, or the empty one where it belongs."""
    at = code & (len(slots) - 1)
    while slots[at] != NOT_THERE and not _is(known, ends, slots[at], raw, first, last):
        at = (at + 1) & (len(slots) - 1)
    return at


def _find(
    known: Bytes, ends: Numbers, slots: Slots, raw: Bytes, first: Numbers, last: Numbers, found: Numbers
) -> None:
    """Find texts in two passes: so the processor waits for many slots at once."""
    codes = np.empty(len(found), dtype=np.int64)
    for n in range(len(found)):
        codes[n] = _hash_of(raw, first[n], last[n])
        found[n] = slots[codes[n] & (len(slots) - 1)] if first[n] != NOTHING else NOT_THERE
    for n in range(len(found)):
        if found[n] != NOT_THERE and not _is(known, ends, found[n], raw, first[n], last[n]):
            found[n] = slots[_slot_of(known, ends, slots, codes[n], raw, first[n], last[n])]


def _place(known: Bytes, ends: Numbers, slots: Slots, begin: int) -> None:
    for n in range(begin, len(ends) - 1):
        code = _hash_of(known, ends[n], ends[n + 1])
        slots[_slot_of(known, ends, slots, code, known, ends[n], ends[n + 1])] = n


_found = kept_on_disk(_find)
_placed = kept_on_disk(_place)


class TextIndex:
    """Numbers of texts, which only become more. Of a text that is there twice the last number counts."""

    def __init__(self) -> None:
        self._bytes = GrowingTable(known=np.uint8)
        self._ends = GrowingTable(end=np.int64)
        self._ends.append(0)
        self._slots: Slots = np.full(64, NOT_THERE, dtype=np.int32)

    def numbers_of(self, names: Sequence[str], texts: Texts) -> Numbers:
        """Return the place of each text in names, NOT_THERE where it is not there. names: those of the last
        call, and what has come behind them.
        """
        if len(names) >= len(self._ends):
            self._add(names[len(self._ends) - 1 :])
        found = np.empty(len(texts.first), dtype=np.int64)
        _found(self._bytes["known"], self._ends["end"], self._slots, *texts, found)
        return found

    def _add(self, names: Sequence[str]) -> None:
        begin, more = len(self._ends) - 1, Texts.of(names)
        self._ends.extend(more.last + len(self._bytes))
        self._bytes.extend(more.raw)
        if len(self._ends) > _FULLEST * len(self._slots):
            begin, size = 0, len(self._slots)
            while len(self._ends) > _FULLEST * size:
                size *= 2
            self._slots = np.full(size, NOT_THERE, dtype=np.int32)
        _placed(self._bytes["known"], self._ends["end"], self._slots, begin)
