"""What cures a deficiency, and by how much, worked out by the kernel (MARGIN_RULES 7.3, 8.1).

Selling the textbook formula's amount (rulebook/cure_formulas) may leave the account short, or shorter than
before, where another name becomes concentrated (MARGIN_RULES 8.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from margin_platform.contracts.events.vocabulary import CureAction
from margin_platform.contracts.messages import Event
from margin_platform.contracts.refusals import InputError
from margin_platform.documents.book_input import BookInput
from margin_platform.documents.rebuilt import books_of
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.bounds import accounts_of
from margin_platform.liquidation.search import Search, Sizes
from margin_platform.liquidation.workbench import Terms
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
    return cheapest_cures_of_each(given)[0]


def cheapest_cures_of_each(given: BookInput) -> list[list[Cure]]:
    """Return for each account of `given` what `cheapest_cures` returns of it: all are searched at once."""
    book, terms, everyone = given.book, Terms(), np.arange(len(given.book), dtype=np.int64)
    priced = PricedMarket.of(given.market, given.policy)
    excess = evaluate_accounts(book, priced, everyone, stress=False).published.excess
    account = accounts_of(book)
    position = np.flatnonzero((excess < 0)[account])
    most, lot = np.full(len(position), np.inf), np.full(len(position), terms.lot)
    sizes = Sizes.of(position, np.abs(book.quantity[position]), most, lot)
    shares, after = Search(book, priced, terms.buffer, terms.slippage).smallest(sizes)
    found = [_deposits(-amount, given.policy) if amount < 0 else [] for amount in excess.tolist()]
    for n in np.flatnonzero(~np.isnan(shares)):
        trade = _trade(given, int(position[n]), float(shares[n]), float(after[n]))
        found[account[position[n]]].append(trade)
    return [sorted(cures, key=lambda cure: cure.amount) for cures in found]


def _deposits(deficiency: float, policy: Policy) -> list[Cure]:
    found = [Cure(CureAction.DEPOSIT_CASH, deficiency, excess_after=0.0)]
    rate = policy.maintenance.long_rate
    if rate < 1.0:
        stock = cents(securities_deposit_needed(deficiency, rate))
        found.append(Cure(CureAction.DEPOSIT_STOCK, stock, rate=rate))
    return found


def _trade(given: BookInput, position: int, shares: float, excess: float) -> Cure:
    side = CureAction.SELL if given.book.quantity[position] > 0 else CureAction.BUY_TO_COVER
    code = given.book.symbol[position]
    amount = cents(shares * float(given.market.price[code]))
    return Cure(side, amount, given.market.symbols[code], shares, excess_after=excess)


def cures_of(status: Event, policy: Policy) -> list[Cure]:
    """Return what cures the deficiency of a status event, cheapest first; empty where there is none
    (MARGIN_RULES 7.3, 7.6). InputError where the event is incomplete.
    """
    (found,) = cures_of_each([status], policy)
    if isinstance(found, InputError):
        raise found
    return found


def cures_of_each(statuses: Sequence[Event], policy: Policy) -> list[list[Cure] | InputError]:
    """Return what cures each of many status events, as `cures_of` does, or why it is incomplete."""
    found: list[list[Cure] | InputError] = [[] for _ in statuses]
    deficient = [n for n, status in enumerate(statuses) if (status.get("excess") or 0.0) < 0]
    given, refused = books_of((statuses[n] for n in deficient), policy)
    cures = iter(cheapest_cures_of_each(given))
    for n, error in zip(deficient, refused, strict=True):
        found[n] = next(cures) if error is None else error
    return found
