"""The oldest price among an account's, and whether one of them is not to be acted upon. Compiled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Codes
from margin_platform.kernel.sweep.compiled import kept_on_disk
from margin_platform.snapshots.giving_out.json_rows import Held

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def _entry(
    first: Numbers, last: Numbers, codes: Codes, time: Numbers, unfit: Mask, oldest: Numbers, found: Mask
) -> None:
    for row in range(len(first)):
        for k in range(first[row], last[row]):
            at = time[codes[k]]
            if at > 0 and (oldest[row] == 0 or at < oldest[row]):
                oldest[row] = at
            found[row] |= unfit[codes[k]]


_look = kept_on_disk(_entry)


def look(held: Held, price_time: Numbers, unfit: Mask) -> tuple[Numbers, Mask]:
    """Return the event time of the oldest price of each row, 0 where none has a time; and whether any of its
    instruments is unfit.
    """
    rows = len(held.first)
    oldest, found = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.bool_)
    _look(held.first, held.last, held.codes, price_time, unfit, oldest, found)
    return oldest, found
