"""Bounds: the ranges a market can have. Topics, book files and reference data are held to the same ones.

They catch wrong units (percent for a fraction, seconds for milliseconds) and the marks other systems write
for "unset".
"""

from __future__ import annotations

from typing import NamedTuple


class Range(NamedTuple):
    """The lowest and the highest value allowed."""

    low: float
    high: float


PRICE = Range(1e-6, 1e7)  # dollars a share; the dearest share trades below a million
QUANTITY = Range(-1e9, 1e9)  # signed shares
MONEY = Range(-1e12, 1e12)  # dollars
FIGURE = Range(-1e18, 1e18)  # dollars that were computed: the sums of all accounts stay numbers
FEE = Range(-1e7, 1e7)  # dollars; a rebate is negative
ACTION_AMOUNT = Range(0.0, 1e6)  # dollars a share; a delisted one may be worth nothing
SPLIT_RATIO = Range(1e-5, 1e5)  # 1 share for 100,000 old ones, to 100,000 shares for one
BETA = Range(-20.0, 20.0)  # 1.2, not 120
ANNUAL_VOLATILITY = Range(0.0, 10.0)  # annualized, a fraction: 0.25 is 25%
LONG_RATE = Range(0.0, 1.0)  # a long position loses no more than its value
SHORT_RATE = Range(0.0, 3.0)
ADDON_RATE = Range(0.0, 3.0)
MOVE_UP = Range(0.0, 3.0)
MOVE_DOWN = Range(0.0, 1.0)
LEVERAGE = Range(-5.0, 5.0)
SCENARIO = Range(-1.0, 3.0)  # a move of the market
CONTRACTS = Range(-1e9, 1e9)
MULTIPLIER = Range(0.0, 1e6)
TIME = (315_532_800_000, 4_102_444_800_000)  # epoch milliseconds: the years 1980 to 2099
LONGEST_ID = 256  # characters: what the store keeps

# Prices that other systems write for "no price". A real price of exactly one of these is not expected.
UNSET_PRICES = frozenset((999_999.0, 999_999.99, 9_999_999.0, 9_999_999.99, 999_999.9999))


def time_unit(value: int) -> str | None:
    """Return the unit in which a number would be a time within the bounds, if it is not milliseconds."""
    for unit, factor in (("seconds", 1_000.0), ("microseconds", 1e-3), ("nanoseconds", 1e-6)):
        if TIME[0] <= value * factor < TIME[1]:
            return unit
    return None
