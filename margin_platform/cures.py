"""What cures a deficiency, and by how much (MARGIN_RULES 7.3, 8.1): a sale of X at the mark lowers the requirement by rate x X only."""

from __future__ import annotations


def cure_from_sale(amount: float, rate: float) -> float:
    """Dollars of deficiency cured by selling `amount` dollars of a position margined at `rate`."""
    return amount * rate


def sale_needed(deficiency: float, rate: float, cost: float = 0.0) -> float:
    """Dollars to sell (or cover) at a rate, less a proportional cost, to cure a deficiency. ValueError where it cannot help."""
    if rate <= cost:
        raise ValueError(f"rate: not above the cost {cost!r}, value {rate!r}")
    return deficiency / (rate - cost)


def securities_deposit_needed(deficiency: float, rate: float) -> float:
    """Market value of fully paid stock to deposit: each dollar brings its loan value, 1 - rate. ValueError at a rate of 1 or more."""
    if rate >= 1.0:
        raise ValueError(f"rate: not below 1, value {rate!r}: such stock has no loan value")
    return deficiency / (1.0 - rate)


def trigger_price(debit: float, maintenance: float, shares: float) -> float:
    """Price at which a long position bought with a debit falls to its maintenance rate. ValueError on no shares or a rate of 1."""
    if shares <= 0 or maintenance >= 1.0:
        raise ValueError(f"shares: {shares!r} at maintenance {maintenance!r}: no trigger price")
    return debit / (1.0 - maintenance) / shares
