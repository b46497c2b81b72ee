"""Where positions stand among columns in which those of an account are one run of neighbors, by symbol.
Compiled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk

Codes = NDArray[np.int32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def _find(
    offsets: Numbers, symbol: Codes, accounts: Numbers, codes: Numbers, rows: Numbers, there: Mask
) -> None:
    for n in range(len(accounts)):
        if accounts[n] + 1 >= len(offsets):
            rows[n], there[n] = len(symbol), False
            continue
        low, end = offsets[accounts[n]], offsets[accounts[n] + 1]
        high = end
        while low < high:
            middle = (low + high) // 2
            if symbol[middle] < codes[n]:
                low = middle + 1
            else:
                high = middle
        rows[n], there[n] = low, low < end and symbol[low] == codes[n]


_found = kept_on_disk(_find)


def rows_in_runs(offsets: Numbers, symbol: Codes, accounts: Numbers, codes: Numbers) -> tuple[Numbers, Mask]:
    """Return in which row the position of each account in an instrument stands, or would stand, and whether
    it is there.

    Account a's run is offsets[a]:offsets[a + 1]. It may be an account that has none.
    """
    rows, there = np.empty(len(accounts), dtype=np.int64), np.empty(len(accounts), dtype=np.bool_)
    _found(offsets, symbol, accounts, codes, rows, there)
    return rows, there
