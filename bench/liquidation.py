"""Liquidation against one evaluation a quantity:
the same smallest quantity found with the same kernel, one account at a time.

The bound sees one position and walks upwards from one share; the proposal also builds its orders and proofs.
Both answers are compared. Times are medians of runs taken in turn, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.workbench import Terms
from margin_platform.money import cents
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
CASES = (
    ("one name", 1, 20_000, 0.76),
    ("three names", 3, 20_000, 0.76),
    ("ten names, six sold", 10, 20_000, 0.9),
)


def account(names: int, shares: int, debit: float) -> tuple[Book, Market]:
    """Build one account with so many shares of each name and this fraction of their value as a debit:
    deficient."""
    market = Market.of([Instrument(f"S{n}", 50.0 + n, 1.0 + n / 10, 0.2 + n / 50) for n in range(names)])
    value = float(market.price.sum()) * shares
    return Book.of([("A", -debit * value, 0, [(n, float(shares)) for n in range(names)])]), market


def one_by_one(book: Book, market: Market) -> list[float]:
    """Return shares of each name, highest beta first, by evaluating one quantity after the other."""
    priced = PricedMarket.of(market, POLICY)
    quantity, cash = book.quantity.copy(), float(book.cash[0])
    orders: list[float] = []

    def excess(n: int, shares: float) -> float:
        left = quantity.copy()
        left[n] -= shares
        after = Book(
            ("A",),
            np.array([cash + shares * market.price[n]]),
            book.margin_type,
            book.offsets,
            book.symbol,
            left,
        )
        return cents(
            float(evaluate_accounts(after, priced, np.zeros(1, dtype=np.int64), stress=False).excess[0])
        )

    for n in np.argsort(-market.beta):
        enough = next((float(q) for q in range(1, int(quantity[n]) + 1) if excess(n, q) >= 0), None)
        sold = float(quantity[n]) if enough is None else enough
        orders.append(sold)
        cash += sold * float(market.price[n])
        quantity[n] -= sold
        if enough is not None:
            break
    return orders


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def measured(names: int, shares: int, debit: float, repeats: int) -> dict[str, float]:
    """Return medians in seconds, and their ratio. RuntimeError where the two disagree."""
    book, market = account(names, shares, debit)
    propose(book, market, POLICY, 0, Terms())  # compiled code is loaded outside the measurement
    fast, slow = [], []
    for _ in range(repeats):
        seconds, proposal = _timed(lambda: propose(book, market, POLICY, 0, Terms()))
        fast.append(seconds)
        seconds, orders = _timed(lambda: one_by_one(book, market))
        slow.append(seconds)
        if [o.qty for o in proposal.orders] != orders:
            raise RuntimeError(f"answers differ: {[o.qty for o in proposal.orders]} and {orders}")
    quick, bound = statistics.median(fast), statistics.median(slow)
    return {"orders": len(orders), "propose_s": quick, "one_by_one_s": bound, "times_faster": bound / quick}


def main(arguments: list[str]) -> int:
    """Run the benchmark and print its figures, as a table or with --json."""
    parser = argparse.ArgumentParser(prog="margin bench liquidation", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    figures = {name: measured(names, shares, debit, options.repeats) for name, names, shares, debit in CASES}
    if options.json:
        print(json.dumps(figures, indent=2))
        return 0
    print(
        f"{'account of 20,000 shares a name':<34}{'orders':>8}{'propose':>12}{'one by one':>12}{'faster':>10}"
    )
    for name, row in figures.items():
        times = f"{row['propose_s'] * 1e3:>9.1f} ms{row['one_by_one_s'] * 1e3:>9.0f} ms"
        print(f"{name:<34}{row['orders']:>8}{times}{row['times_faster']:>9.0f}x")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(__import__("sys").argv[1:]))
