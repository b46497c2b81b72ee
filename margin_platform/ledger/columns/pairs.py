"""Sums by account and symbol, in that order: two passes of a compiled counting sort."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import kept_on_disk

Codes = NDArray[np.int32]
Numbers = NDArray[np.int64]


def _sort(keys: Codes, places: Numbers, order: Codes, into: Codes) -> None:
    """Write rows by key, those of one key in the order given. places: where each key's rows begin."""
    for n in range(len(order)):
        key = keys[order[n]]
        into[places[key]] = order[n]
        places[key] += 1


_sorted = kept_on_disk(_sort)


def _by_key(keys: Codes, count: int, order: Codes) -> Codes:
    places = np.zeros(count, dtype=np.int64)
    np.cumsum(np.bincount(keys, minlength=count)[:-1], out=places[1:])
    into = np.empty_like(order)
    _sorted(keys, places, order, into)
    return into


def _sum(
    order: Codes, account: Codes, symbol: Codes, amount: Numbers, ends: Numbers, held: Codes, sums: Numbers
) -> None:
    """Write each pair's symbol and sum, and how many pairs an account has behind its place in `ends`. order:
    of the rows, those of one pair behind one another.
    """
    pair = of = code = -1
    for n in range(len(order)):
        row = order[n]
        if account[row] != of or symbol[row] != code:
            of, code, pair = account[row], symbol[row], pair + 1
            held[pair], sums[pair] = code, 0
            ends[of + 1] += 1
        sums[pair] += amount[row]


_summed = kept_on_disk(_sum)


def sums_by_pair(
    account: Codes, symbol: Codes, amount: Numbers, accounts: int, symbols: int
) -> tuple[Numbers, Codes, Numbers]:
    """Return where each account's run begins, (accounts + 1,), and each pair's symbol and sum, by account and
    symbol.
    """
    if not len(account):
        nothing = np.zeros(0, dtype=np.int64)
        return np.zeros(accounts + 1, dtype=np.int64), nothing.astype(np.int32), nothing
    order = _by_key(symbol, symbols, np.arange(len(account), dtype=np.int32))
    order = _by_key(account, accounts, order)
    ends = np.zeros(accounts + 1, dtype=np.int64)
    held, sums = np.empty(len(order), symbol.dtype), np.empty(len(order), dtype=np.int64)
    _summed(order, account, symbol, amount, ends, held, sums)
    np.cumsum(ends, out=ends)
    return ends, held[: ends[-1]], sums[: ends[-1]]
