"""Strategy-based requirement of an uncovered short listed equity option: FINRA 4210(f)(2)(E). Options are not yet in the book."""

from __future__ import annotations

_UNDERLYING_RATE, _FLOOR_RATE = 0.20, 0.10


def short_option_per_unit(right: str, strike: float, underlying: float, premium: float) -> float:
    """Dollars per unit: premium plus 20% of the underlying less the out-of-the-money amount, at least 10%.

    The floor is on the underlying for a call and on the strike for a put. ValueError on another right.
    """
    if right not in ("call", "put"):
        raise ValueError(f"right: not call or put, value {right!r}")
    out_of_the_money = max(0.0, strike - underlying) if right == "call" else max(0.0, underlying - strike)
    floor = _FLOOR_RATE * (underlying if right == "call" else strike)
    return premium + max(_UNDERLYING_RATE * underlying - out_of_the_money, floor)


def short_option_requirement(
    right: str, strike: float, underlying: float, premium: float, contracts: float, multiplier: float = 100.0
) -> float:
    """Dollars for a position of short contracts, premium received included."""
    return short_option_per_unit(right, strike, underlying, premium) * contracts * multiplier
