"""Which accounts hold any of some instruments, by looking at every position."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk

Mask = NDArray[np.bool_]


def _entry(offsets: NDArray[np.int64], symbol: NDArray[np.int32], wanted: Mask, holds: Mask) -> None:
    for account in range(len(holds)):
        found = False
        # to the end: where an account's first one comes is a surprise to the processor, and takes it longer
        for row in range(offsets[account], offsets[account + 1]):
            found |= wanted[np.uint64(symbol[np.uint64(row)])]
        holds[account] = found


_mark = kept_on_disk(_entry)


def holders(offsets: NDArray[np.int64], symbol: NDArray[np.int32], wanted: Mask) -> NDArray[np.int64]:
    """Return the ascending numbers of the accounts that hold a wanted instrument.

    offsets, symbol: of a book; wanted: by instrument code.
    """
    holds = np.zeros(len(offsets) - 1, dtype=np.bool_)
    _mark(offsets, symbol, wanted, holds)
    return np.flatnonzero(holds)
