"""Sample books: accounts of named profiles with a fixed seed, so that a demo,
a backtest and a benchmark talk of the same people.

All shares are whole. An account's cash follows from the equity its profile starts with, as a share of gross
value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

STOCKS = (
    "AAPL",
    "AMD",
    "BAC",
    "BBY",
    "CVX",
    "GE",
    "HD",
    "JNJ",
    "JPM",
    "KO",
    "LLY",
    "MRK",
    "MSFT",
    "PEP",
    "PFE",
    "PG",
    "UNH",
    "WMT",
    "XOM",
)  # RRC trades below the per-share floors, which must not be applied to an adjusted price history


@dataclass(frozen=True)
class Profile:
    """What an account of this kind looks like.

    names: how many longs; equity: range of equity as a share of gross value; size: range of gross value in
    dollars; tilt: share of the largest long (0: equal weights); short: share of gross sold short, in
    `short_symbols` or other stocks.
    """

    names: tuple[int, int]
    equity: tuple[float, float]
    size: tuple[float, float]
    tilt: float = 0.0
    short: float = 0.0
    longs: Sequence[str] = STOCKS
    short_symbols: Sequence[str] = STOCKS
    margin_type: str = "REG_T"


PROFILES: dict[str, Profile] = {
    "cash_rich": Profile((5, 12), (0.95, 1.3), (20_000, 400_000)),
    "leveraged_long": Profile((5, 12), (0.45, 0.60), (50_000, 900_000)),
    "close_to_call": Profile((4, 8), (0.30, 0.42), (50_000, 600_000)),
    "concentrated": Profile((3, 5), (0.50, 0.70), (50_000, 600_000), tilt=0.8),
    "short_seller": Profile((4, 8), (0.45, 0.80), (50_000, 600_000), short=0.7),
    "market_neutral": Profile((5, 10), (0.40, 0.60), (100_000, 900_000), short=0.5),
    "hedged_index": Profile(
        (1, 1),
        (0.20, 0.35),
        (500_000, 3_000_000),
        short=0.45,
        longs=("SPY",),
        short_symbols=("SIM2X", "SIMDOW"),
        margin_type="PORTFOLIO",
    ),
    "portfolio_margin": Profile((6, 12), (0.20, 0.40), (600_000, 4_000_000), margin_type="PORTFOLIO"),
}
# How a book divides over the profiles unless given otherwise.
USUAL_MIX = {
    "cash_rich": 0.35,
    "leveraged_long": 0.25,
    "close_to_call": 0.04,
    "concentrated": 0.10,
    "short_seller": 0.06,
    "market_neutral": 0.06,
    "hedged_index": 0.06,
    "portfolio_margin": 0.08,
}


@dataclass(frozen=True)
class AccountRow:
    """One generated account: cash in dollars (rounded to cents), signed whole shares by symbol."""

    account_id: str
    profile: str
    margin_type: str
    cash: float
    positions: dict[str, float]


def usual_counts(accounts: int) -> dict[str, int]:
    """Return the usual mix for a number of accounts, every profile present; the largest takes what rounding
    leaves.
    """
    counts = {name: max(1, int(accounts * share)) for name, share in USUAL_MIX.items()}
    counts["cash_rich"] = max(1, counts["cash_rich"] + accounts - sum(counts.values()))
    return counts


def generate(counts: Mapping[str, int], prices: Mapping[str, float], seed: int = 7) -> list[AccountRow]:
    """Generate accounts by profile at these prices (dollars a share). The same arguments give the same book.

    KeyError on an unknown profile, ValueError where there is no price of what a profile holds.
    """
    generator = np.random.default_rng(seed)
    rows = []
    for name, count in counts.items():
        profile = PROFILES[name]
        for number in range(count):
            rows.append(
                _account(
                    f"{name.upper().replace('_', '-')}-{number + 1:05d}", name, profile, prices, generator
                )
            )
    return rows


def _account(
    account_id: str, name: str, profile: Profile, prices: Mapping[str, float], generator: np.random.Generator
) -> AccountRow:
    gross = float(np.exp(generator.uniform(*np.log(profile.size))))
    longs = _draw(
        profile.longs, int(generator.integers(profile.names[0], profile.names[1] + 1)), prices, generator
    )
    positions = _spend(gross * (1.0 - profile.short), longs, profile.tilt, prices)
    if profile.short:
        rest = [s for s in profile.short_symbols if s not in positions]
        shorts = _draw(rest, max(1, len(longs) // 2), prices, generator)
        positions |= {s: -q for s, q in _spend(gross * profile.short, shorts, 0.0, prices).items()}
    value = sum(q * prices[s] for s, q in positions.items())
    size = sum(abs(q) * prices[s] for s, q in positions.items())
    cash = generator.uniform(*profile.equity) * size - value
    return AccountRow(account_id, name, profile.margin_type, round(float(cash), 2), positions)


def _draw(
    symbols: Sequence[str], count: int, prices: Mapping[str, float], generator: np.random.Generator
) -> list[str]:
    known = [s for s in symbols if prices.get(s, 0.0) > 0.0]  # a missing price, NaN, is not
    if not known:
        raise ValueError(f"no price of any of {', '.join(symbols)}")
    return [str(s) for s in generator.choice(known, size=min(count, len(known)), replace=False)]


def _spend(
    dollars: float, symbols: Sequence[str], tilt: float, prices: Mapping[str, float]
) -> dict[str, float]:
    """Buy whole shares for a sum: equal weights, or `tilt` of it in the first symbol and the rest equally."""
    others = len(symbols) - 1
    weights = (
        [1.0 / len(symbols)] * len(symbols)
        if not tilt or not others
        else [tilt] + [(1.0 - tilt) / others] * others
    )
    return {s: float(max(1, round(dollars * w / prices[s]))) for s, w in zip(symbols, weights, strict=True)}
