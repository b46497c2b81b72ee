"""Where the firm's clients are concentrated: market value by symbol over the book. Sums, no margin."""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Market
from margin_platform.money import cents


def by_symbol(book: Book, market: Market, most: int = 25) -> dict[str, object]:
    """Return the largest symbols by gross value: long, short, net (dollars) and holders, and how many
    positions had no price to count.
    """
    value = book.quantity * market.price[book.symbol]
    priced = ~np.isnan(value)
    code, value = book.symbol[priced], value[priced]
    size = len(market.symbols)
    long, short = (np.bincount(code, np.maximum(side * value, 0.0), size) for side in (1, -1))
    gross, holders = long + short, np.bincount(code, minlength=size)
    total = float(gross.sum())
    ranked = sorted(np.flatnonzero(holders).tolist(), key=lambda c: (-gross[c], market.symbols[c]))[:most]
    return {
        "accounts": len(book),
        "unpriced_positions": int((~priced).sum()),
        "gross": cents(total),
        "symbols": [
            {
                "symbol": market.symbols[c],
                "long": cents(float(long[c])),
                "short": cents(float(short[c])),
                "gross": cents(float(gross[c])),
                "net": cents(float(long[c] - short[c])),
                "share": float(gross[c]) / total if total else None,
                "holders": int(holders[c]),
            }
            for c in ranked
        ],
    }
