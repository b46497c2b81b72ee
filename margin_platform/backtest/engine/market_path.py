"""The market through time: every bar's prices with the volatility and betas that were known when it printed.

Volatility is the live estimator on session closes up to the session before (it is published after a close);
betas are re-estimated on each month's first session from the sessions before it, where the history brings an
index. A figure the book itself gives wins over both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.backtest.history.sample_market import INDEX
from margin_platform.kernel.market import UNKNOWN, Floats, Market
from margin_platform.kernel.volatility_tiers import tier_path
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.sessions import in_session
from margin_platform.volatility.beta import estimated
from margin_platform.volatility.estimator import historical_volatility, rolling_volatility

# Rates hold on adjusted levels, dollar floors do not: they would apply today's dollars to a price of another
# scale.
WITHOUT_FLOORS = {
    "use_low_price_long": False,
    "low_price": 0.0,
    "short_min_per_share": 0.0,
    "short_low_min": 0.0,
}
Split = tuple[int, str, float]  # epoch milliseconds from which it counts, symbol, new shares for one old
SplitRow = tuple[int, int, float]  # the same with its instrument row
ChangeRow = tuple[int, int, float, bool]  # event time, instrument row, dollars a share, stale
_PUBLISHED_DIGITS = 6  # of volatility.v1: a backtest uses the figure as it was published


@dataclass(frozen=True)
class MarketPath:
    """Columns by bar and instrument row of `market`, (bars, instruments);
    `times` in epoch milliseconds, (bars,).
    """

    market: Market
    times: NDArray[np.int64]
    price: Floats
    sigma: Floats
    beta: Floats
    stale: NDArray[np.bool_]
    index: Floats
    tier: NDArray[np.int8]  # the volatility add-on's tier held so far, which hysteresis may keep
    splits: tuple[SplitRow, ...] = ()  # in the end known; what was known at a time may differ
    changes: tuple[ChangeRow, ...] = ()  # what corporate actions made of prices between bars, in time order

    def __len__(self) -> int:
        return len(self.times)

    def at(self, bar: int) -> Market:
        """Return the market as it was known at a bar."""
        return self.market.with_columns(
            price=self.price[bar],
            sigma=self.sigma[bar],
            beta=self.beta[bar],
            stale=self.stale[bar],
            volatility_tier=self.tier[bar],
        )

    def before(self, bar: int) -> Floats:
        """Return the prices of the bar before one, on the bar's own share basis."""
        price: Floats = self.price[bar - 1].copy()
        for effective, code, ratio in self.splits:
            if self.times[bar - 1] < effective <= self.times[bar]:
                price[code] /= ratio
        return price

    def between(self, bar: int, at: int) -> Market:
        """Return the market as it is known at a time after the bar before: its prices, volatility and betas,
        with what corporate actions have made of them since.
        """
        price, stale = self.price[bar - 1].copy(), self.stale[bar - 1].copy()
        for time, code, changed, held in self.changes:
            if self.times[bar - 1] < time <= at:
                price[code], stale[code] = changed, held
        return self.at(bar).with_columns(price=price, stale=stale)

    def moves(self, bars: NDArray[np.int64]) -> Floats:
        """Return relative moves from each of these bars to the next of them, (bars - 1, instruments); a split
        is none.
        """
        price, times = self.price[bars].copy(), self.times[bars]
        for effective, code, ratio in self.splits:
            price[times < effective, code] /= ratio
        with np.errstate(invalid="ignore", divide="ignore"):
            return price[1:] / price[:-1] - 1.0


def market_path(
    market: Market,
    history: PriceHistory,
    policy: Policy,
    part: slice,
    splits: Iterable[Split] = (),
    changes: Iterable[tuple[int, str, float, bool]] = (),
) -> MarketPath:
    """Build the path of a market over some bars of a settled history; earlier bars warm up volatility and
    betas.

    `splits` are those on the way: prices are as traded, estimates on one share basis. `changes`: event time,
    symbol, price and whether it is held, of what corporate actions made of prices between bars.
    """
    sessions, of_bar = _sessions(history)
    open_then = np.array([in_session(t) for t in history.times[sessions].tolist()])
    usable = open_then[:, None] & ~history.stale[sessions]
    closes = np.where(usable, _on_one_basis(history, splits)[sessions], np.nan)
    sigma = _lagged(_volatilities(closes, policy).round(_PUBLISHED_DIGITS), policy.volatility.default_sigma)
    betas = _betas(history, sessions, closes, policy)
    column = {symbol: n for n, symbol in enumerate(history.symbols)}
    codes = np.array([column.get(s, -1) for s in market.symbols], dtype=np.int64)
    bars = of_bar[part]
    tiers = tier_path(sigma, policy.volatility)[bars].astype(np.float64)
    index = history.prices[part, column[INDEX]] if INDEX in column else np.full(len(bars), np.nan)
    return MarketPath(
        market=market,
        times=history.times[part],
        price=_rows(history.prices[part], codes),
        sigma=_given(market.sigma, _rows(sigma[bars], codes)),
        beta=_given(market.beta, _rows(betas[bars], codes)),
        stale=_rows(history.stale[part].astype(np.float64), codes, 1.0) > 0,
        index=index,
        tier=np.where(np.isnan(market.sigma), _rows(tiers, codes, 0.0), market.volatility_tier).astype(
            np.int8
        ),
        splits=tuple(
            (at, code, ratio)
            for at, of, ratio in splits
            for code, symbol in enumerate(market.symbols)
            if symbol == of
        ),
        changes=tuple(
            (at, code, price, held)
            for at, of, price, held in changes
            for code, symbol in enumerate(market.symbols)
            if symbol == of
        ),
    )


def _on_one_basis(history: PriceHistory, splits: Iterable[Split]) -> Floats:
    """Return prices on the last bar's share basis: those before a split are divided by its ratio."""
    prices = history.prices.copy()
    for effective, symbol, ratio in splits:
        if symbol in history.symbols:
            prices[history.times < effective, history.symbols.index(symbol)] /= ratio
    return prices


def _rows(columns: Floats, codes: NDArray[np.int64], unknown: float = UNKNOWN) -> Floats:
    """Put columns of the history in instrument order; `unknown` where the history has no such symbol."""
    picked = (
        columns[:, np.maximum(codes, 0)] if columns.shape[1] else np.full((len(columns), len(codes)), unknown)
    )
    return np.ascontiguousarray(np.where(codes >= 0, picked, unknown))


def _given(own: Floats, known: Floats) -> Floats:
    return np.where(np.isnan(own), known, own)


def _sessions(history: PriceHistory) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the closing bar of each session (its last in market hours, else its last), and the session
    number of each bar.
    """
    days = history.dates()
    new = np.array([True] + [a != b for a, b in pairwise(days)])
    of_bar = np.cumsum(new) - 1
    last = np.append(np.flatnonzero(new)[1:] - 1, len(days) - 1).astype(np.int64)
    for bar, time in enumerate(history.times.tolist()):  # in time order: the last of a session stays
        if in_session(time):
            last[of_bar[bar]] = bar
    return last, of_bar


def _volatilities(closes: Floats, policy: Policy) -> Floats:
    """Apply the estimator on every session and symbol; the columnar form where no close is missing, the plain
    one elsewhere.
    """
    whole = ~np.isnan(closes).any(axis=0)
    sigma = np.full(closes.shape, policy.volatility.default_sigma)
    if whole.any():
        sigma[:, whole] = rolling_volatility(np.ascontiguousarray(closes[:, whole]), policy)
    window = policy.volatility.vol_window + 1
    for column in np.flatnonzero(~whole):
        for day in range(len(closes)):
            sigma[day, column] = historical_volatility(
                closes[max(0, day + 1 - window) : day + 1, column], policy
            ).sigma
    return sigma


def _lagged(sigma: Floats, default: float) -> Floats:
    return np.vstack([np.full((1, sigma.shape[1]), default), sigma[:-1]])


def _betas(history: PriceHistory, sessions: NDArray[np.int64], closes: Floats, policy: Policy) -> Floats:
    """Return each symbol's beta by session; NaN (the policy's default counts) before there are observations
    enough.
    """
    out = np.full((len(sessions), len(history.symbols)), np.nan)
    if INDEX not in history.symbols:
        return out
    returns = closes[1:] / closes[:-1] - 1.0
    at = history.symbols.index(INDEX)
    dates = history.dates()
    days = [dates[s] for s in sessions]
    firsts = [0] + [n for n in range(1, len(days)) if days[n].month != days[n - 1].month]
    for first, following in zip(firsts, [*firsts[1:], len(days)], strict=True):
        known = returns[max(0, first - 1 - policy.beta.beta_sessions) : max(0, first - 1)]
        out[first:following] = [
            estimated(known[:, at], known[:, column], policy.beta) for column in range(known.shape[1])
        ]
    return out
