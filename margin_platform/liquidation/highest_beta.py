"""The highest-beta strategy: the least whole-lot sales, one name after the other (MARGIN_RULES 8.2)."""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.instrument_rules import effective_beta
from margin_platform.kernel.market import Market
from margin_platform.liquidation.workbench import (
    Order,
    Proof,
    Proposal,
    Terms,
    Workbench,
    cure_rates,
    not_curable,
    nothing_to_do,
)
from margin_platform.policy.policy import Policy


def propose(book: Book, market: Market, policy: Policy, account: int, terms: Terms) -> Proposal:
    """Propose the least whole-lot sales, highest beta first, that bring the account's excess to the buffer.

    A name that cannot do it alone is closed and the next is tried on the account as it then stands. A name
    whose requirement does not exceed the cost of trading it cannot help and is left.
    """
    bench = Workbench(book, market, policy, account, terms)
    before = bench.excess()
    if refusal := nothing_to_do(bench, before):
        return refusal
    orders, proofs = work(bench)
    return _proposal(bench, orders, proofs, before, proofs[-1].excess_at_qty if proofs else before)


def work(bench: Workbench) -> tuple[list[Order], list[Proof]]:
    """Trade on the bench in its sequence until the account has its buffer or nothing is left that may be
    sold.
    """
    orders: list[Order] = []
    proofs: list[Proof] = []
    for position in sequence(bench):
        choices = bench.quantities(position)
        if not len(choices):
            continue
        shares = bench.smallest_sufficient(position)
        chosen = float(choices[-1]) if shares is None else shares
        proofs.append(_proof(bench, position, chosen))
        orders.append(bench.trade(position, chosen))
        if shares is not None:
            break
    return orders, proofs


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


def sequence(bench: Workbench) -> list[int]:
    """Return the positions in the order they are sold: as requested, else by beta descending, then larger
    cure for its cost, then symbol.
    """
    if bench.terms.order is not None:
        return [k for name in bench.terms.order for k, symbol in enumerate(bench.symbols) if symbol == name]
    rates = cure_rates(bench)
    beta = effective_beta(bench.market, bench.policy)[bench.codes]
    useful = [k for k in range(len(bench.codes)) if rates[k] > bench.terms.slippage]
    return sorted(useful, key=lambda k: (-beta[k], -(rates[k] - bench.terms.slippage), bench.symbols[k]))


def _proof(bench: Workbench, position: int, shares: float) -> Proof:
    sold = np.zeros((2, len(bench.codes)))
    sold[0, position], sold[1, position] = shares, bench.one_lot_less(shares)
    at, less = bench.excess_after(sold)
    return Proof(bench.symbols[position], shares, float(at), float(less))
