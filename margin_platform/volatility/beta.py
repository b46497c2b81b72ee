"""Beta to SPY from daily returns: covariance over variance with the same divisor (MARGIN_RULES 5.3)."""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.market import UNKNOWN, Floats
from margin_platform.policy.sections import BetaPolicy


def beta(market: Floats, stock: Floats) -> float:
    """Return the beta of a stock from returns on common dates, both (n,).

    ValueError on unequal lengths or a market that never moved.
    """
    if market.shape != stock.shape or len(market) < 2:
        raise ValueError(
            f"stock: {len(stock)} returns against {len(market)} of the market, at least 2 on common dates "
            "needed"
        )
    moves = market - market.mean()
    spread = float(moves @ moves)
    if spread == 0.0:
        raise ValueError("market: returns never move, beta is undefined")
    return float(moves @ (stock - stock.mean())) / spread


def estimated(market: Floats, stock: Floats, rules: BetaPolicy) -> float:
    """Return the beta by policy from returns where NaN is a missing session; NaN with fewer common dates than
    `beta_min_observations`.

    `beta_weight` of it counts, the rest lies on 1, the market's own beta.
    """
    both = ~np.isnan(market) & ~np.isnan(stock)
    if both.sum() < rules.beta_min_observations:
        return UNKNOWN
    found = beta(np.ascontiguousarray(market[both]), np.ascontiguousarray(stock[both]))
    return rules.beta_weight * found + (1.0 - rules.beta_weight)
