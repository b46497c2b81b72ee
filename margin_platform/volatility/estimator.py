"""Historical volatility: 30 daily log returns, sample standard deviation (n - 1),
annualized by the square root of 252.

From daily closes, one per exchange session, split-adjusted: never from ticks (MARGIN_RULES 9).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from margin_platform.kernel.market import Floats
from margin_platform.kernel.volatility_tiers import DEFAULT, OK
from margin_platform.policy.policy import Policy


@dataclass(frozen=True)
class Volatility:
    """sigma: annualized (0.4 is 40%); observations: returns used;
    quality: OK, or DEFAULT where history is insufficient.
    """

    sigma: float
    observations: int
    quality: str


def split_adjusted(closes: Floats, splits: Iterable[tuple[int, float]]) -> Floats:
    """Return closes on today's share basis: those before index i are divided by the ratio (7 for a
    7-for-1)."""
    adjusted = np.array(closes, dtype=np.float64)
    for index, ratio in splits:
        adjusted[:index] /= ratio
    return adjusted


def historical_volatility(
    closes: Floats, policy: Policy, splits: Iterable[tuple[int, float]] = ()
) -> Volatility:
    """Estimate the volatility of one symbol from its closes, oldest first; NaN is a missing session.

    A return spans a gap as one observation. Fewer than the policy's minimum of returns, or more than its
    maximum of missing sessions in the window, gives the policy's default, marked DEFAULT. ValueError on a
    close that is not above 0.
    """
    rules = policy.volatility
    adjusted = split_adjusted(closes, splits)
    if np.any(adjusted <= 0) or np.any(np.isinf(adjusted)):
        bad = adjusted[(adjusted <= 0) | np.isinf(adjusted)][0]
        raise ValueError(f"closes: not above zero, value {bad!r}")
    window = adjusted[-(rules.vol_window + 1) :]
    known = window[~np.isnan(window)]
    returns = np.diff(np.log(known))
    n = len(returns)
    if n < rules.vol_min_observations or len(window) - len(known) > rules.vol_max_missing:
        return Volatility(rules.default_sigma, n, DEFAULT)
    return Volatility(float(np.std(returns, ddof=1) * np.sqrt(rules.vol_sessions_per_year)), n, OK)


def rolling_volatility(closes: Floats, policy: Policy) -> Floats:
    """Apply the same estimator on every day: closes (days, symbols) without gaps to sigma (days, symbols).

    Row d uses closes up to and including d; rows with too little history hold the policy's default.
    ValueError on a missing or non-positive close (repair the history first: which days may be bridged is the
    caller's policy).
    """
    rules = policy.volatility
    if not np.all(closes > 0):
        day, symbol = np.argwhere(~(closes > 0))[0]
        raise ValueError(f"closes[{day}, {symbol}]: not above zero, value {closes[day, symbol]!r}")
    returns = np.vstack([np.zeros(closes.shape[1]), np.diff(np.log(closes), axis=0)])
    count = np.minimum(np.arange(len(closes)), rules.vol_window)
    sigma = np.full(closes.shape, rules.default_sigma)
    scale = np.sqrt(rules.vol_sessions_per_year)
    for day in np.flatnonzero(count >= rules.vol_min_observations):
        sigma[day] = np.std(returns[day - count[day] + 1 : day + 1], axis=0, ddof=1) * scale
    return sigma
