"""A book's positions with some of them opened, closed or changed, in one pass over the columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk

Numbers = NDArray[np.int64]
Codes = NDArray[np.int32]
Floats = NDArray[np.float64]


def _entry(
    offsets: Numbers,
    symbol: Codes,
    quantity: Floats,
    accounts: Numbers,
    codes: Numbers,
    shares: Floats,
    counts: Numbers,
    symbols_out: Codes,
    quantities_out: Floats,
) -> None:
    read, write = 0, 0
    for n in range(len(accounts)):
        row, end = max(read, offsets[accounts[n]]), offsets[accounts[n] + 1]
        while row < end and symbol[row] < codes[n]:
            row += 1
        symbols_out[write : write + row - read] = symbol[read:row]
        quantities_out[write : write + row - read] = quantity[read:row]
        write, read = write + row - read, row
        if row < end and symbol[row] == codes[n]:
            read += 1
            counts[accounts[n]] -= 1
        if shares[n] != 0.0:
            symbols_out[write], quantities_out[write] = codes[n], shares[n]
            write += 1
            counts[accounts[n]] += 1
    rest = len(symbol) - read
    symbols_out[write : write + rest] = symbol[read:]
    quantities_out[write : write + rest] = quantity[read:]


_merge = kept_on_disk(_entry)


def with_positions(
    offsets: Numbers, symbol: Codes, quantity: Floats, accounts: Numbers, codes: Numbers, shares: Floats
) -> tuple[Numbers, Codes, Floats]:
    """Return a book's offsets, symbols and quantities where accounts hold so many shares of instruments.

    accounts, codes: in that order, each pair once; shares: signed, 0 where the position is closed.
    """
    counts, size = np.diff(offsets), len(symbol) + len(accounts)
    symbols, quantities = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float64)
    _merge(offsets, symbol, quantity, accounts, codes, shares, counts, symbols, quantities)
    moved = np.concatenate([[0], np.cumsum(counts)])
    return moved, symbols[: moved[-1]], quantities[: moved[-1]]
