"""What would cure a call now: cash, or the least of each single position, every candidate quantity put through the kernel.

Excess is not monotone in the quantity sold (MARGIN_RULES 8.3), so quantities are enumerated, not searched by halves: each is
one hypothetical account of a single vectorised sweep. Big positions are enumerated in even steps and then exactly within
the first step that cures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.book import Book
from margin_platform.book_json import BookInput
from margin_platform.evaluate import PricedMarket, evaluate_accounts
from margin_platform.money import cents

_CANDIDATES = 1_000   # hypothetical accounts a sweep


def cheapest_cures(given: BookInput, deficiency: float, most: int = 6) -> list[dict[str, Any]]:
    """Cures of the single account of `given`, cheapest first: [{kind, symbol?, qty?, amount, excess_after}]; amounts in dollars."""
    if deficiency <= 0:
        return []
    priced = PricedMarket.of(given.market, given.policy)
    found: list[dict[str, Any]] = [{"kind": "CASH", "symbol": None, "qty": None, "amount": cents(deficiency), "excess_after": 0.0}]
    for k in range(len(given.book.symbol)):
        if (cure := _least(given, priced, k)) is not None:
            found.append(cure)
    return sorted(found, key=lambda c: float(c["amount"]))[:most]


def _least(given: BookInput, priced: PricedMarket, k: int) -> dict[str, Any] | None:
    whole = int(abs(given.book.quantity[k]))
    step = max(1, -(-whole // _CANDIDATES))
    coarse = np.unique(np.append(np.arange(step, whole + 1, step), whole))
    hit = _first_cured(given, priced, k, coarse[coarse > 0])
    if hit is None:
        return None
    qty, excess = hit
    if step > 1:
        qty, excess = _first_cured(given, priced, k, np.arange(max(1, qty - step + 1), qty + 1)) or hit
    price = float(given.market.price[given.book.symbol[k]])
    long = given.book.quantity[k] > 0
    return {
        "kind": "SELL" if long else "BUY_TO_COVER", "symbol": given.market.symbols[given.book.symbol[k]], "qty": qty,
        "amount": cents(qty * price), "excess_after": excess,
    }


def _first_cured(given: BookInput, priced: PricedMarket, k: int, quantities: NDArray[np.int64]) -> tuple[int, float] | None:
    """(quantity, excess after) of the smallest of these quantities of position k that cures; None where none does."""
    book, n = given.book, len(quantities)
    if n == 0:
        return None
    sign = np.sign(book.quantity[k])
    held = np.tile(book.quantity, n).reshape(n, -1)
    held[:, k] -= sign * quantities
    size = len(book.symbol)
    cash = book.cash[0] + sign * quantities * given.market.price[book.symbol[k]]
    tried = Book(
        account_ids=tuple(str(q) for q in quantities.tolist()), cash=cash, margin_type=np.repeat(book.margin_type, n),
        offsets=np.arange(n + 1, dtype=np.int64) * size, symbol=np.tile(book.symbol, n).astype(np.int32), quantity=held.ravel(),
    )
    excess = cents(evaluate_accounts(tried, priced, np.arange(n, dtype=np.int64), stress=False).excess)
    cured = np.flatnonzero(excess >= 0)
    return (int(quantities[cured[0]]), float(excess[cured[0]])) if len(cured) else None
