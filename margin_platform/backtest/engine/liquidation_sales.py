"""What the liquidations of a run sell: the live proposals on the accounts as they stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.highest_beta import steps_of_each
from margin_platform.liquidation.workbench import Terms, Workbench, nothing_to_do

_Sale = tuple[int, int, float]  # account, instrument row, signed shares


def sales(numbers: Sequence[int], book: Book, priced: PricedMarket) -> Iterator[_Sale]:
    """Yield the orders that restore some accounts, in the order they are worked; none of one that is whole.

    The lot is the policy's, or larger where a position would be cut into more than `most_lots`: adjusted
    histories have positions of millions of shares at cents, and every quantity is put to the kernel.
    """
    accounts, terms = np.array(numbers, dtype=np.int64), Terms.of(priced.policy)
    excess = evaluate_accounts(book, priced, accounts, stress=False).published.excess.tolist()
    due = {}
    for number, before in zip(numbers, excess, strict=True):
        span = slice(int(book.offsets[number]), int(book.offsets[number + 1]))
        largest = float(np.abs(book.quantity[span]).max(initial=0.0))
        lot = max(terms.lot, math.ceil(largest / priced.policy.backtest.most_lots))
        bench = Workbench(book, priced, number, replace(terms, lot=lot))
        if nothing_to_do(bench, before) is None:
            due[number] = bench
    if not due:
        return
    for (number, bench), steps in zip(due.items(), steps_of_each(list(due.values())), strict=True):
        for position, shares in steps:
            sold = math.copysign(shares, -bench.quantity[position])
            yield number, int(bench.codes[position]), sold
