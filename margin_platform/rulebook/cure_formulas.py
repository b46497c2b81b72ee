"""The textbook formulas of a cure: they hold while no add-on moves (MARGIN_RULES 7.3, 8.1)."""

from __future__ import annotations


def cure_from_sale(amount: float, rate: float) -> float:
    """Return dollars of deficiency cured by selling `amount` dollars of a position margined at `rate`."""
    return amount * rate


def sale_needed(deficiency: float, rate: float, cost: float = 0.0) -> float:
    """Return dollars to sell (or cover) at a rate, less a proportional cost, to cure a deficiency.

    ValueError where it cannot help.
    """
    if rate <= cost:
        raise ValueError(f"rate: not above the cost {cost!r}, value {rate!r}")
    return deficiency / (rate - cost)


def trigger_price(debit: float, maintenance: float, shares: float) -> float:
    """Return the price at which a long position bought with a debit falls to its maintenance rate.

    ValueError on no shares or a rate of 1.
    """
    if shares <= 0 or maintenance >= 1.0:
        raise ValueError(f"shares: {shares!r} at maintenance {maintenance!r}: no trigger price")
    return debit / (1.0 - maintenance) / shares
