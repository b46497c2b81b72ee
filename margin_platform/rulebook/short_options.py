"""Strategy-based requirement of an uncovered short listed equity option: FINRA 4210(f)(2)(E).

Options are not yet in the book.
"""

from __future__ import annotations

from margin_platform.policy.sections import OptionPolicy


def short_option_per_unit(
    right: str, strike: float, underlying: float, premium: float, rules: OptionPolicy
) -> float:
    """Return dollars per unit: premium plus 20% of the underlying (by policy) less the out-of-the-money
    amount, at least 10%.

    The floor is on the underlying for a call and on the strike for a put. ValueError on another right.
    """
    if right not in ("call", "put"):
        raise ValueError(f"right: not call or put, value {right!r}")
    out_of_the_money = max(0.0, strike - underlying) if right == "call" else max(0.0, underlying - strike)
    floor = rules.option_floor_rate * (underlying if right == "call" else strike)
    return premium + max(rules.option_underlying_rate * underlying - out_of_the_money, floor)


def short_option_requirement(
    right: str,
    strike: float,
    underlying: float,
    premium: float,
    contracts: float,
    rules: OptionPolicy,
    multiplier: float = 100.0,
) -> float:
    """Return dollars for a position of short contracts, premium received included."""
    return short_option_per_unit(right, strike, underlying, premium, rules) * contracts * multiplier
