"""Beta to SPY from daily returns: covariance over variance with the same divisor (MARGIN_RULES 5.3)."""

from __future__ import annotations

from margin_platform.book import Floats


def beta(market: Floats, stock: Floats) -> float:
    """Beta of a stock from returns on common dates, both (n,). ValueError on unequal lengths or a market that never moved."""
    if market.shape != stock.shape or len(market) < 2:
        raise ValueError(f"stock: {len(stock)} returns against {len(market)} of the market, at least 2 on common dates needed")
    moves = market - market.mean()
    spread = float(moves @ moves)
    if spread == 0.0:
        raise ValueError("market: returns never move, beta is undefined")
    return float(moves @ (stock - stock.mean())) / spread


def shrunk(estimate: float, weight: float = 2.0 / 3.0) -> float:
    """An estimate pulled towards 1, the market's own beta."""
    return weight * estimate + (1.0 - weight)
