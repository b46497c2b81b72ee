"""Where the firm's clients are concentrated: market value by symbol, issuer and sector over the book.

Sums, no margin.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Floats, Market
from margin_platform.money import cents

NO_SECTOR = "no sector"  # funds, and names whose reference data has none
MOST_GROUPS = 25


def concentration(book: Book, market: Market, sectors: Mapping[str, str]) -> dict[str, object]:
    """Return the largest symbols, issuers and sectors by gross value: long, short, net (dollars), share of
    the whole, and holders; and how many positions had no price to count.
    """
    value = book.quantity * market.price[book.symbol]
    priced = ~np.isnan(value)
    account = np.repeat(np.arange(len(book)), np.diff(book.offsets))
    held = (account[priced], book.symbol[priced], value[priced])
    names = [sectors.get(symbol, NO_SECTOR) for symbol in market.symbols]
    sector_names = tuple(sorted(set(names)))
    sector = np.array([sector_names.index(name) for name in names], dtype=np.int64)
    every = np.arange(len(market.symbols))
    return {
        "accounts": len(book),
        "unpriced_positions": int((~priced).sum()),
        "gross": cents(float(np.abs(held[2]).sum())),
        "symbols": _ranked("symbol", held, every, market.symbols),
        "issuers": _ranked("issuer", held, market.issuer.astype(np.int64), market.issuers),
        "sectors": _ranked("sector", held, sector, sector_names),
    }


def _ranked(
    kind: str,
    held: tuple[NDArray[np.int64], NDArray[np.int32], Floats],
    group_of: NDArray[np.int64],
    names: tuple[str, ...],
) -> list[dict[str, object]]:
    """Return the groups of instruments by gross value. group_of: group by instrument code."""
    account, symbol, value = held
    code, size = group_of[symbol], len(names)
    long, short = (np.bincount(code, np.maximum(side * value, 0.0), size) for side in (1, -1))
    accounts = int(account.max()) + 1 if len(account) else 1
    once = np.unique(code * accounts + account) // accounts  # an account holds an issuer once
    gross, holders = long + short, np.bincount(once, minlength=size)
    total = float(gross.sum())
    ranked = sorted(np.flatnonzero(holders).tolist(), key=lambda c: (-gross[c], names[c]))[:MOST_GROUPS]
    return [
        {
            kind: names[c],
            "long": cents(float(long[c])),
            "short": cents(float(short[c])),
            "gross": cents(float(gross[c])),
            "net": cents(float(long[c] - short[c])),
            "share": float(gross[c]) / total if total else None,
            "holders": int(holders[c]),
        }
        for c in ranked
    ]
