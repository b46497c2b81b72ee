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
    account, symbol = account[order], symbol[order]
    begins = np.ones(len(order), dtype=np.bool_)  # a pair's first row
    begins[1:] = (account[1:] != account[:-1]) | (symbol[1:] != symbol[:-1])
    first = np.flatnonzero(begins)
    sums = np.add.reduceat(amount[order], first)
    runs = np.bincount(account[first], minlength=accounts)
    return np.concatenate([[0], np.cumsum(runs)]), symbol[first], sums
