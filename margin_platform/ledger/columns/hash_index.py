"""An index of rows by a digest of 128 bits, compiled: open addressing, four bytes a slot.

A digest is two integers of 64 bits, and as even as chance. So its lowest bits are the place where its row is
looked for first. Then come the next ones, up to an empty slot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel

Digests = NDArray[np.int64]  # (rows, 2)
Slots = NDArray[np.int32]  # numbers of rows, and NO_ROW; as many as a power of two
NO_ROW = -1
_FULLEST = 0.75


@kernel
def slot_of(digests: Digests, slots: Slots, low: int, high: int) -> int:
    """Return the slot that holds the row of a digest, or the empty one where it belongs."""
    last = len(slots) - 1
    at = low & last
    while slots[at] != NO_ROW and (digests[slots[at], 0] != low or digests[slots[at], 1] != high):
        at = (at + 1) & last
    return at


def _find(digests: Digests, slots: Slots, wanted: Digests, found: NDArray[np.int64]) -> None:
    for n in range(len(wanted)):
        found[n] = slots[slot_of(digests, slots, wanted[n, 0], wanted[n, 1])]


def _place(digests: Digests, slots: Slots, first: int) -> None:
    """Place rows whose digests are not there: which one holds a slot need not be looked at."""
    last = len(slots) - 1
    for row in range(first, len(digests)):
        at = digests[row, 0] & last
        while slots[at] != NO_ROW:
            at = (at + 1) & last
        slots[at] = row


_found = kept_on_disk(_find)
_placed = kept_on_disk(_place)


def rows_of(digests: Digests, slots: Slots, wanted: Digests) -> NDArray[np.int64]:
    """Return the row of each wanted digest, NO_ROW where there is none."""
    found = np.empty(len(wanted), dtype=np.int64)
    _found(digests, slots, wanted, found)
    return found


def is_full(digests: Digests, slots: Slots) -> bool:
    """Report whether an index of these rows needs more slots."""
    return len(digests) >= _FULLEST * len(slots)


def grown(digests: Digests, slots: Slots, rows: int) -> Slots:
    """Return the index of all rows, given that of the first `rows`: the same where the others fit in."""
    if is_full(digests, slots):
        size, rows = 64, 0
        while len(digests) >= _FULLEST * size:
            size *= 2
        slots = np.full(size, NO_ROW, dtype=np.int32)
    _placed(digests, slots, rows)
    return slots
