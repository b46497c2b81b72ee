"""What cures a deficiency, and by how much (MARGIN_RULES 7.3, 8.1): a sale of X at the mark lowers the requirement by rate x X only.

The formulas hold while no add-on moves. What a customer is told is worked out by the kernel: selling the formula's amount may
leave the account short, or shorter than before, where another name becomes concentrated (MARGIN_RULES 8.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from margin_platform.documents.book_input import BookInput
from margin_platform.liquidation.workbench import BUY_TO_COVER, SELL, Terms, Workbench
from margin_platform.money import cents


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


@dataclass(frozen=True)
class Cure:
    """One way to cure a deficiency on its own. action: DEPOSIT_CASH, DEPOSIT_STOCK, SELL, BUY_TO_COVER.

    amount: dollars paid in, or of stock at its mark; qty: shares to trade; rate: what the stock deposited is held to, as a
    fraction; excess_after: dollars, None where it depends on which stock it is.
    """

    action: str
    amount: float
    symbol: str | None = None
    qty: float | None = None
    rate: float | None = None
    excess_after: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}


def cheapest_cures(given: BookInput) -> list[Cure]:
    """Everything that alone cures the single account of `given`, least dollars first; empty where it is not deficient.

    A trade is the least number of whole shares of one position, at the mark, after which the kernel finds the account compliant.
    """
    bench = Workbench(given.book, given.market, given.policy, 0, Terms())
    deficiency = -bench.excess()
    if not deficiency > 0:
        return []
    found = [Cure("DEPOSIT_CASH", deficiency, excess_after=0.0)]
    rate = given.policy.maintenance.long_rate
    if rate < 1.0:
        found.append(Cure("DEPOSIT_STOCK", cents(securities_deposit_needed(deficiency, rate)), rate=rate))
    found += [cure for position in range(len(bench.codes)) if (cure := _trade(bench, position)) is not None]
    return sorted(found, key=lambda cure: cure.amount)


def _trade(bench: Workbench, position: int) -> Cure | None:
    shares = bench.smallest_sufficient(position, bench.quantities(position))
    if shares is None:
        return None
    sold = np.zeros((1, len(bench.codes)))
    sold[0, position] = shares
    side = SELL if bench.quantity[position] > 0 else BUY_TO_COVER
    amount = cents(shares * float(bench.price[position]))
    return Cure(side, amount, bench.symbols[position], shares, excess_after=float(bench.excess_after(sold)[0]))
