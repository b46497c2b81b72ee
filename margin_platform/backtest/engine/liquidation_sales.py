"""What a liquidation of a run sells: the live proposal on the account as it stands, as signed shares by
instrument row.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from margin_platform.contracts.events.vocabulary import Side
from margin_platform.kernel.book import Book
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.workbench import Terms


def sales(number: int, book: Book, priced: PricedMarket) -> list[tuple[int, float]]:
    """Return the orders that restore one account, in the order they are worked; none where it is whole.

    The lot is the policy's, or larger where a position would be cut into more than `most_lots`: adjusted
    histories have positions of millions of shares at cents, and every quantity is put to the kernel.
    """
    span = slice(int(book.offsets[number]), int(book.offsets[number + 1]))
    codes = book.symbol[span].tolist()
    if not codes:
        return []
    terms = Terms.of(priced.policy)
    largest = float(np.abs(book.quantity[span]).max())
    lot = max(terms.lot, math.ceil(largest / priced.policy.backtest.most_lots))
    proposal = propose(book, priced.market, priced.policy, number, replace(terms, lot=lot))
    code_of = {priced.market.symbols[c]: c for c in codes}
    return [(code_of[o.symbol], -o.qty if o.side == Side.SELL else o.qty) for o in proposal.orders]
