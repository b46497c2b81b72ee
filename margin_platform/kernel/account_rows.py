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


def stress_columns(margin: Margin) -> dict[str, np.ndarray]:
    """Return the stress rows, (accounts, scenarios), by the names of their columns: held, recomputed,
    unsecured, each decided on the rounded figure.
    """
    published = margin.published
    held, recomputed = published.stress_excess_held, published.stress_excess_recomputed
    equity = published.stress_equity
    return {
        "scenario": np.broadcast_to(np.array(margin.policy.stress.scenarios), held.shape),
        "delta_pnl": published.stress_pnl,
        "equity_stressed": equity,
        "excess_stressed": held,
        "underwater": held < 0,
        "excess_recomputed": recomputed,
        "underwater_recomputed": recomputed < 0,
        "unsecured": np.where(equity < 0, -equity, 0.0),
    }


def stress_rows(n: int, margin: Margin) -> list[dict[str, object]]:
    """Return one row a SPY move of an account that can be valued."""
    # its scenarios alone: the columns would be worked out for every account again
    columns = stress_columns(margin.take(np.array([n])))
    rows = zip(*(column[0].tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
