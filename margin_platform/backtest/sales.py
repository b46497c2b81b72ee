"""What a liquidation of a run sells: the live proposal on the account as it stands, as signed shares by instrument row."""

from __future__ import annotations

from margin_platform.book import Book
from margin_platform.evaluate import PricedMarket


def sales(number: int, book: Book, priced: PricedMarket) -> list[tuple[int, float]]:
    """Orders that restore one account, in the order they are sent; none where it is whole."""
    from margin_platform.liquidation import propose

    proposal = propose(book, number, priced.market, priced.policy)
    code_of = priced.market.code_of()
    return [(code_of[o.symbol], o.qty if o.side != "SELL" else -o.qty) for o in proposal.orders]
