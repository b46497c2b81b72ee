"""Liquidation: the orders that bring an account back to compliance,
sized by re-running the kernel (MARGIN_RULES 8).

Nothing is sold through zero; nothing here sends an order. How quantities are searched: `search`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from margin_platform.contracts.events.vocabulary import Side
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Floats
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.search import Search, Sizes
from margin_platform.money import cents
from margin_platform.policy.policy import Policy


@dataclass(frozen=True)
class Order:
    """One order: whole shares, positive (a closing order takes a fraction along);
    proceeds in dollars, negative for a cover.
    """

    symbol: str
    side: Side
    qty: float
    estimated_proceeds: float


@dataclass(frozen=True)
class Proof:
    """Why an order is no smaller: the excess with it, and with one lot less, given the orders before it."""

    symbol: str
    qty: float
    excess_at_qty: float
    excess_one_lot_less: float


@dataclass(frozen=True)
class Proposal:
    """The orders for one account, in the order they are to be worked. Money in dollars rounded to cents."""

    account_id: str
    orders: tuple[Order, ...]
    excess_before: float
    excess_after: float
    cured: bool
    statement: str
    proofs: tuple[Proof, ...] = ()

    @property
    def certificate(self) -> dict[str, object]:
        return {"statement": self.statement, "orders": [vars(p) for p in self.proofs]}


@dataclass(frozen=True)
class Terms:
    """How orders are sized.

    buffer: dollars of excess to reach; lot: shares; slippage: fraction of the price lost.

    order: symbols in the sequence to sell, instead of highest beta first; most_shares: cap on the shares of a
    symbol.
    """

    buffer: float = 0.0
    lot: int = 1
    slippage: float = 0.0
    order: Sequence[str] | None = None
    most_shares: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def of(policy: Policy) -> Terms:
        rules = policy.liquidation
        return Terms(rules.liquidation_buffer, rules.liquidation_lot, rules.liquidation_slippage)


class Workbench:
    """One account on the bench: its positions and cash as they would stand after the orders chosen so far."""

    def __init__(self, book: Book, priced: PricedMarket, account: int, terms: Terms) -> None:
        span = slice(int(book.offsets[account]), int(book.offsets[account + 1]))
        market = priced.market
        self.account_id = book.account_ids[account]
        self.priced, self.market, self.policy, self.terms = priced, market, priced.policy, terms
        self.codes = book.symbol[span]
        self.quantity = book.quantity[span].copy()
        self.cash = float(book.cash[account])
        self.margin_type = book.margin_type[account]
        self.price = market.price[self.codes]
        self.symbols = [market.symbols[c] for c in self.codes]

    def excess_after(self, sold: Floats) -> Floats:
        """Return the published excess after selling or covering these shares: (candidates, positions) ->
        (candidates,).
        """
        n, held = sold.shape
        signs = np.sign(self.quantity)
        # each fill in whole cents
        proceeds = cents(sold * self.price * (signs - self.terms.slippage)).sum(axis=1)
        book = Book(
            account_ids=(),
            cash=self.cash + proceeds,
            margin_type=np.full(n, self.margin_type, dtype=np.int8),
            offsets=np.arange(0, (n + 1) * held, held, dtype=np.int64)
            if held
            else np.zeros(n + 1, dtype=np.int64),
            symbol=np.tile(self.codes, n),
            quantity=(self.quantity - signs * sold).ravel(),
        )
        margin = evaluate_accounts(book, self.priced, np.arange(n, dtype=np.int64), stress=False)
        return margin.published.excess

    def excess(self) -> float:
        return float(self.excess_after(np.zeros((1, len(self.codes))))[0])

    def trade(self, position: int, shares: float) -> Order:
        """Book shares of a position towards flat and return the order for them."""
        long = self.quantity[position] > 0
        value = shares * float(self.price[position])
        proceeds = cents(value * (1 - self.terms.slippage) if long else -value * (1 + self.terms.slippage))
        self.cash += proceeds
        self.quantity[position] -= shares if long else -shares
        return Order(
            self.symbols[position], Side.SELL if long else Side.BUY_TO_COVER, float(shares), proceeds
        )

    def quantities(self, position: int) -> Floats:
        """Return the quantities that may be traded of a position, ascending: whole lots, and at last all of
        it."""
        size = abs(float(self.quantity[position]))
        most = self.most(position)
        if most < size:
            return np.arange(self.terms.lot, most + 1e-9, self.terms.lot)
        lots = np.arange(self.terms.lot, size - 1e-9, self.terms.lot, dtype=np.float64)
        return np.append(lots, size)

    def most(self, position: int) -> float:
        """Return the shares of a position that may be traded at most; infinity without a cap."""
        return self.terms.most_shares.get(self.symbols[position], math.inf)

    def one_lot_less(self, shares: float) -> float:
        """Return the permitted quantity just below one; below a closing order that is no whole lot, the last
        whole lot.
        """
        return max(0.0, (float(np.ceil(shares / self.terms.lot)) - 1.0) * self.terms.lot)

    def smallest_sufficient(self, position: int) -> float | None:
        """Return the smallest quantity of one position after which the account has its buffer; None where
        none suffices.
        """
        found = self.smallest_of_each([position])[position]
        return None if found is None else found[0]

    def smallest_of_each(self, positions: Iterable[int]) -> dict[int, tuple[float, float] | None]:
        """Return for each position the smallest of its quantities that suffices alone, and the excess after
        it; None where none does.
        """
        numbers = np.array(list(positions), dtype=np.int64)
        most = np.array([self.most(n) for n in numbers])
        lot = np.full(len(numbers), self.terms.lot)
        sizes = Sizes.of(numbers, np.abs(self.quantity[numbers]), most, lot)
        search = Search(book_of([self]), self.priced, self.terms.buffer, self.terms.slippage)
        shares, excess = (column.tolist() for column in search.smallest(sizes))
        return {
            int(number): None if math.isnan(shares[n]) else (shares[n], excess[n])
            for n, number in enumerate(numbers)
        }


def book_of(benches: Sequence[Workbench]) -> Book:
    """Return the accounts of some benches, as they now stand, as a book of their own."""
    return Book(
        account_ids=tuple(bench.account_id for bench in benches),
        cash=np.array([bench.cash for bench in benches]),
        margin_type=np.array([bench.margin_type for bench in benches], dtype=np.int8),
        offsets=np.concatenate([[0], np.cumsum([len(bench.codes) for bench in benches])]),
        symbol=np.concatenate([bench.codes for bench in benches]),
        quantity=np.concatenate([bench.quantity for bench in benches]),
    )


def nothing_to_do(bench: Workbench, before: float) -> Proposal | None:
    if np.isnan(before):
        missing = sorted({s for s, p in zip(bench.symbols, bench.price, strict=True) if np.isnan(p)})
        statement = f"held: no price for {', '.join(missing)}; nothing may be sold on a guess"
        return Proposal(bench.account_id, (), before, before, False, statement)
    stale = sorted({s for s, old in zip(bench.symbols, bench.market.stale[bench.codes], strict=True) if old})
    if stale:
        statement = f"held: the price of {', '.join(stale)} is too old to act upon"
        return Proposal(bench.account_id, (), before, before, False, statement)
    if before >= bench.terms.buffer:
        return Proposal(
            bench.account_id, (), before, before, True, "the account has its buffer: nothing to sell"
        )
    if -bench.policy.ladder.small_deficiency <= cents(before) < 0:
        statement = (
            f"a deficiency of {-before:,.2f} is passed over by the policy's small_deficiency: nothing to sell"
        )
        return Proposal(bench.account_id, (), before, before, True, statement)
    return None


def not_curable(bench: Workbench, after: float) -> str:
    """Explain that all that may be sold is not enough."""
    what = (
        "everything that may be sold"
        if bench.terms.order is None
        else "all that may be sold of the named positions"
    )
    statement = f"not curable: {what} leaves excess {after:,.2f}"
    if after < 0 and not np.any(bench.quantity):
        statement += f"; refer unsecured debit of {-after:,.2f} to Credit"
    return statement


def cure_rates(book: Book, priced: PricedMarket) -> Floats:
    """Return the fixed-percentage requirement each position of a book carries, add-ons and cap included, as a
    fraction of its value: what a dollar traded of it cures (MARGIN_RULES 8.2).
    """
    everyone = np.arange(len(book), dtype=np.int64)
    due = evaluate_accounts(book, priced, everyone, detail=True, stress=False).position_requirement
    value = np.abs(book.quantity) * priced.market.price[book.symbol]
    return np.divide(due, value, out=np.zeros_like(value), where=value > 0)
