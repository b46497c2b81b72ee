"""Rows of one account from the kernel's columns: what the stream publishes and the documents show."""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats, Market


def stale_symbols(span: range, book: Book, market: Market) -> list[str]:
    """List the symbols of some positions whose price is missing or too old to act upon."""
    codes = book.symbol[span.start : span.stop]
    bad = np.isnan(market.price[codes]) | market.stale[codes]
    return sorted({market.symbols[c] for c in codes[bad]})


def defaulted_symbols(span: range, book: Book, market: Market, figure: Floats) -> list[str]:
    """Return the symbols of some positions whose column of the market is unknown,
    so that the policy's default counts.
    """
    codes = book.symbol[span.start : span.stop]
    unknown = np.isnan(figure[codes])
    return sorted({market.symbols[c] for c in codes[unknown]}) if unknown.any() else []


def stress_rows(n: int, margin: Margin) -> list[dict[str, object]]:
    """Return one row a SPY move of an account that can be valued: held, recomputed, unsecured, each decided
    on the rounded figure.
    """
    # its scenarios alone: the columns would be worked out for every account again
    one = margin.take(np.array([n])).published
    pnl, equity, held, recomputed = (
        column[0].tolist()
        for column in (
            one.stress_pnl,
            one.stress_equity,
            one.stress_excess_held,
            one.stress_excess_recomputed,
        )
    )
    return [
        {
            "scenario": move,
            "delta_pnl": pnl[s],
            "equity_stressed": equity[s],
            "excess_stressed": held[s],
            "underwater": held[s] < 0,
            "excess_recomputed": recomputed[s],
            "underwater_recomputed": recomputed[s] < 0,
            "unsecured": max(0.0, -equity[s]),
        }
        for s, move in enumerate(margin.policy.stress.scenarios)
    ]
