"""The highest-beta strategy: the least whole-lot sales, one name after the other (MARGIN_RULES 8.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.search import Search, Sizes
from margin_platform.liquidation.workbench import (
    Order,
    Proof,
    Proposal,
    Terms,
    Workbench,
    book_of,
    cure_rates,
    not_curable,
    nothing_to_do,
)
from margin_platform.policy.policy import Policy

_Step = tuple[int, float]  # position by number in its account, shares


def propose(book: Book, market: Market, policy: Policy, account: int, terms: Terms) -> Proposal:
    """Propose the least whole-lot sales, highest beta first, that bring the account's excess to the buffer.

    A name that cannot do it alone is closed and the next is tried on the account as it then stands. A name
    whose requirement does not exceed the cost of trading it cannot help and is left.
    """
    bench = Workbench(book, PricedMarket.of(market, policy), account, terms)
    before = bench.excess()
    if refusal := nothing_to_do(bench, before):
        return refusal
    orders: list[Order] = []
    proofs: list[Proof] = []
    for position, shares in steps_of_each([bench])[0]:
        proofs.append(_proof(bench, position, shares))
        orders.append(bench.trade(position, shares))
    return _proposal(bench, orders, proofs, before, proofs[-1].excess_at_qty if proofs else before)


def steps_of_each(benches: Sequence[Workbench]) -> list[list[_Step]]:
    """Return what is traded on each bench in its sequence, until the account has its buffer or nothing is
    left that may be sold.

    The benches have one market, one buffer and one slippage, and stay as they are. Each round puts the next
    name of every account to the kernel at once.
    """
    first, book = benches[0], book_of(benches)
    search = Search(book, first.priced, first.terms.buffer, first.terms.slippage)
    steps: list[list[_Step]] = [[] for _ in benches]
    left = dict(enumerate(_sequences(benches, book)))
    while left := {number: sequence for number, sequence in left.items() if sequence}:
        numbers = list(left)
        own = [left[number].pop(0) for number in numbers]
        most = np.array([benches[n].most(k) for n, k in zip(numbers, own, strict=True)])
        lot = np.array([benches[n].terms.lot for n in numbers])
        position = book.offsets[numbers] + own
        sizes = Sizes.of(position, np.abs(book.quantity[position]), most, lot)
        least, _ = search.smallest(sizes)
        chosen = np.where(np.isnan(least), sizes.largest(), least)
        search.trade(position, chosen)
        for at, number in enumerate(numbers):
            if sizes.count[at]:
                steps[number].append((own[at], float(chosen[at])))
            if not math.isnan(least[at]):
                del left[number]
    return steps


def _proposal(
    bench: Workbench, orders: list[Order], proofs: list[Proof], before: float, after: float
) -> Proposal:
    cured = after >= bench.terms.buffer
    statement = _why_no_less(bench, proofs[-1], after) if cured else not_curable(bench, after)
    return Proposal(bench.account_id, tuple(orders), before, after, cured, statement, tuple(proofs))


def _why_no_less(bench: Workbench, last: Proof, after: float) -> str:
    listed = bench.terms.order is not None
    kind = "names are sold in the sequence given" if listed else "sold by highest beta, not by least turnover"
    return (
        f"after these orders excess is {after:,.2f}, at least {bench.terms.buffer:,.2f}; with one lot less "
        f"of {last.symbol} it would be {last.excess_one_lot_less:,.2f}, and no smaller quantity of it "
        f"suffices; {kind}"
    )


def _sequences(benches: Sequence[Workbench], book: Book) -> list[list[int]]:
    """Return the positions of each bench in the order they are sold: as requested, else by beta descending,
    then larger cure for its cost, then symbol.
    """
    priced, ends = benches[0].priced, book.offsets.tolist()
    rate, beta = cure_rates(book, priced).tolist(), priced.schedule.beta[book.symbol].tolist()
    spans = map(slice, ends[:-1], ends[1:])
    return [_sequence(bench, rate[own], beta[own]) for bench, own in zip(benches, spans, strict=True)]


def _sequence(bench: Workbench, rate: list[float], beta: list[float]) -> list[int]:
    symbols, slippage = bench.symbols, bench.terms.slippage
    if bench.terms.order is not None:
        return [k for name in bench.terms.order for k, symbol in enumerate(symbols) if symbol == name]
    useful = [k for k in range(len(symbols)) if rate[k] > slippage]
    return sorted(useful, key=lambda k: (-beta[k], -(rate[k] - slippage), symbols[k]))


def _proof(bench: Workbench, position: int, shares: float) -> Proof:
    sold = np.zeros((2, len(bench.codes)))
    sold[0, position], sold[1, position] = shares, bench.one_lot_less(shares)
    at, less = bench.excess_after(sold)
    return Proof(bench.symbols[position], shares, float(at), float(less))
