"""Sums by account and symbol, in that order, in one compiled pass over the rows of each account."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel

_FEW = 32  # symbols of an account that are put in order one by one: it has no cost of its own

Codes = NDArray[np.int32]
Numbers = NDArray[np.int64]


def _sort(keys: Codes, places: Numbers, into: Codes) -> None:
    """Write rows by key, those of one key in their order. places: where each key's rows begin."""
    for row in range(len(keys)):
        into[places[keys[row]]] = row
        places[keys[row]] += 1


@kernel
def _put_in_order(codes: Codes, first: int, last: int) -> None:
    for row in range(first + 1, last):
        code, at = codes[row], row
        while at > first and codes[at - 1] > code:
            codes[at] = codes[at - 1]
            at -= 1
        codes[at] = code


def _sum(
    order: Codes, symbol: Codes, amount: Numbers, symbols: int, ends: Numbers, held: Codes, sums: Numbers
) -> None:
    """Write each pair's symbol and sum. order: the rows by account; ends: where each account's rows end in
    it, and then where its pairs do.
    """
    total, of = np.zeros(symbols, dtype=np.int64), np.full(symbols, -1, dtype=np.int64)
    begin = pair = 0
    for account in range(len(ends)):
        first = pair
        for n in range(begin, ends[account]):
            row, code = order[n], symbol[order[n]]
            if of[code] != account:
                of[code], total[code] = account, 0
                held[pair] = code
                pair += 1
            total[code] += amount[row]
        if pair - first > _FEW:
            held[first:pair].sort()
        else:
            _put_in_order(held, first, pair)
        for n in range(first, pair):
            sums[n] = total[held[n]]
        begin, ends[account] = ends[account], pair


_sorted = kept_on_disk(_sort)
_summed = kept_on_disk(_sum)


def sums_by_pair(
    account: Codes, symbol: Codes, amount: Numbers, accounts: int, symbols: int
) -> tuple[Numbers, Codes, Numbers]:
    """Return where each account's run begins, (accounts + 1,), and each pair's symbol and sum, by account and
    symbol.
    """
    ends = np.zeros(accounts + 1, dtype=np.int64)
    np.cumsum(np.bincount(account, minlength=accounts), out=ends[1:])
    order = np.empty(len(account), dtype=np.int32)
    _sorted(account, ends[:-1].copy(), order)
    held, sums = np.empty(len(order), symbol.dtype), np.empty(len(order), dtype=np.int64)
    _summed(order, symbol, amount, symbols, ends[1:], held, sums)
    return ends, held[: ends[-1]], sums[: ends[-1]]
