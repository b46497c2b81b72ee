"""What cures a deficiency, and by how much, worked out by the kernel (MARGIN_RULES 7.3, 8.1).

Selling the textbook formula's amount (rulebook/cure_formulas) may leave the account short, or shorter than
before, where another name becomes concentrated (MARGIN_RULES 8.3).
"""

from __future__ import annotations

from dataclasses import dataclass

from margin_platform.contracts.events.vocabulary import CureAction
from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import BookInput
from margin_platform.documents.rebuilt import book_of
from margin_platform.liquidation.workbench import Terms, Workbench
from margin_platform.money import cents
from margin_platform.policy.policy import Policy


def securities_deposit_needed(deficiency: float, rate: float) -> float:
    """Return the market value of fully paid stock to deposit: each dollar brings its loan value, 1 - rate.

    ValueError at a rate of 1 or more.
    """
    if rate >= 1.0:
        raise ValueError(f"rate: not below 1, value {rate!r}: such stock has no loan value")
    return deficiency / (1.0 - rate)


@dataclass(frozen=True)
class Cure:
    """One way to cure a deficiency on its own.

    amount: dollars paid in, or of stock at its mark; qty: shares to trade; rate: what the stock deposited is
    held to, as a fraction; excess_after: dollars, None where it depends on which stock it is.
    """

    action: CureAction
    amount: float
    symbol: str | None = None
    qty: float | None = None
    rate: float | None = None
    excess_after: float | None = None

    def to_dict(self) -> dict[str, object]:
        return {k: v for k, v in vars(self).items() if v is not None}


def cheapest_cures(given: BookInput) -> list[Cure]:
    """Return everything that alone cures the single account of `given`, least dollars first; empty where it
    is not deficient.

    A trade is the least number of whole shares of one position, at the mark, after which the kernel finds the
    account compliant.
    """
    bench = Workbench(given.book, given.market, given.policy, 0, Terms())
    deficiency = -bench.excess()
    if not deficiency > 0:
        return []
    found = [Cure(CureAction.DEPOSIT_CASH, deficiency, excess_after=0.0)]
    rate = given.policy.maintenance.long_rate
    if rate < 1.0:
        found.append(
            Cure(CureAction.DEPOSIT_STOCK, cents(securities_deposit_needed(deficiency, rate)), rate=rate)
        )
    choices = {position: bench.quantities(position) for position in range(len(bench.codes))}
    found += [
        _trade(bench, position, *trade)
        for position, trade in bench.smallest_of_each(choices).items()
        if trade is not None
    ]
    return sorted(found, key=lambda cure: cure.amount)


def _trade(bench: Workbench, position: int, shares: float, excess: float) -> Cure:
    side = CureAction.SELL if bench.quantity[position] > 0 else CureAction.BUY_TO_COVER
    amount = cents(shares * float(bench.price[position]))
    return Cure(side, amount, bench.symbols[position], shares, excess_after=excess)


def cures_of(status: Event, policy: Policy) -> list[Cure]:
    """Return what cures the deficiency of a status event, cheapest first; empty where there is none
    (MARGIN_RULES 7.3, 7.6).
    """
    return cheapest_cures(book_of(status, policy)) if (status.get("excess") or 0.0) < 0 else []
