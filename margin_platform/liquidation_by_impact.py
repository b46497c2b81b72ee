"""The min-impact strategy: the orders that cure at the least market impact, checked share by share against the kernel.

The convex split (`impact.minimum_impact`) is right between cliffs only. So it is worked out for every pattern of the at most
three concentrated names keeping or losing their add-on, scaled up until the kernel agrees, trimmed, and the cheapest kept.
The orders of highest beta first are a candidate too, so that this strategy never costs more than that one.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from margin_platform.book import Book, Floats, Market
from margin_platform.impact import impact_cost, minimum_impacts
from margin_platform.liquidation import Order, Proof, Proposal, Terms, Workbench, cure_rates, not_curable, nothing_to_do, work
from margin_platform.policy import Policy

_SCALES = np.concatenate([np.linspace(0.05, 1.5, 146), np.geomspace(1.52, 400.0, 110)])
_SESSIONS = 252.0
_LEAST_SIGMA = 1e-6   # a name that never moved still costs something to trade
_TRIED = 4_096        # lots below a quantity that one round of trimming tries


def propose_by_impact(
    book: Book, market: Market, policy: Policy, account: int, terms: Terms, adv: dict[str, float] | None = None
) -> Proposal:
    """Orders over several names at least estimated impact. adv: dollars of average daily volume; equal for all where not given.

    Quantities keep to whole lots and to the caps of `terms`; its sequence is not used.
    """
    terms = replace(terms, order=None)
    bench = Workbench(book, market, policy, account, terms)
    before = bench.excess()
    if refusal := nothing_to_do(bench, before):
        return refusal
    sigma = np.where(np.isnan(market.sigma), policy.volatility.default_sigma, market.sigma)[bench.codes] / np.sqrt(_SESSIONS)
    sigma = np.maximum(sigma, _LEAST_SIGMA)
    volume = np.array([(adv or {}).get(s, 1e8) for s in bench.symbols])
    most = np.array([bench.quantities(k)[-1:].sum() for k in range(len(bench.codes))])
    by_beta = Workbench(book, market, policy, account, terms)
    work(by_beta)
    found = [_first_sufficient(bench, rates, sigma, volume, before, most) for rates in _rate_patterns(bench, policy)]
    candidates = [_trimmed(bench, grid) for grid in found if grid is not None]
    others = np.abs(bench.quantity) - np.abs(by_beta.quantity)
    if by_beta.excess() >= terms.buffer:
        candidates.append(_trimmed(bench, others))
    coefficient = policy.liquidation.impact_coefficient
    sold = min(candidates, key=lambda s: float(impact_cost(s * bench.price, sigma, volume, coefficient).sum()), default=others)
    return _as_proposal(bench, sold, before)


def _rate_patterns(bench: Workbench, policy: Policy) -> list[Floats]:
    """Cure rates with each concentrated name's add-on counted or not: at most eight patterns."""
    rates = cure_rates(bench)
    value = np.abs(bench.quantity) * bench.price
    rules = policy.concentration
    heavy = np.flatnonzero(value > rules.conc_threshold * value.sum()) if rules.use_conc else np.zeros(0, dtype=int)
    patterns = []
    for without in itertools.product((False, True), repeat=len(heavy)):
        pattern = rates.copy()
        pattern[heavy[np.array(without, dtype=bool)]] -= rules.conc_addon
        patterns.append(np.maximum(pattern - bench.terms.slippage, 1e-6))
    return patterns


def _first_sufficient(bench: Workbench, rates: Floats, sigma: Floats, volume: Floats, before: float, most: Floats) -> Floats | None:
    """Shares of the convex split, scaled by the smallest factor of a fine grid at which the kernel finds the buffer."""
    short = bench.terms.buffer - before
    lot = bench.terms.lot
    dollars = minimum_impacts(short * _SCALES, rates, sigma, volume, most * bench.price, 1.0)
    shares = np.ceil(np.round(dollars / bench.price / lot, 6)) * lot
    grid = np.minimum(shares, most)   # `most` is a whole number of lots, or all of the position
    enough = np.flatnonzero(bench.excess_after(grid) >= bench.terms.buffer)
    return grid[enough[0]] if len(enough) else None


def _trimmed(bench: Workbench, sold: Floats) -> Floats:
    """Each name in turn cut to the least that still suffices with the others as they are, until no name can be cut."""
    sold = sold.copy()
    while True:
        start = sold.copy()
        for position in np.argsort(-sold * bench.price):
            below = np.arange(0.0, sold[position] - 1e-9, bench.terms.lot)[-_TRIED:]
            grid = np.tile(sold, (len(below), 1))
            grid[:, position] = below
            enough = np.flatnonzero(bench.excess_after(grid) >= bench.terms.buffer)
            if len(enough):
                sold[position] = below[enough[0]]
        if np.array_equal(sold, start):
            return sold


def _as_proposal(bench: Workbench, sold: Floats, before: float) -> Proposal:
    after = float(bench.excess_after(sold[None, :])[0])
    traded = np.flatnonzero(sold > 0)
    proofs = []
    for position in traded:
        less = sold.copy()
        less[position] = bench.one_lot_less(less[position])
        proofs.append(Proof(bench.symbols[position], float(sold[position]), after, float(bench.excess_after(less[None, :])[0])))
    orders: list[Order] = [bench.trade(int(position), float(sold[position])) for position in traded]
    cured = after >= bench.terms.buffer
    statement = not_curable(bench, after)
    if cured:
        statement = (
            f"after these orders excess is {after:,.2f}, at least {bench.terms.buffer:,.2f}; one lot less of any name would not do; "
            "the least estimated impact of the splits tried, not necessarily the least turnover"
        )
    return Proposal(bench.account_id, tuple(orders), before, after, cured, statement, tuple(proofs))
