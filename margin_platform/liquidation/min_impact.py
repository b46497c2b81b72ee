"""The min-impact strategy: the orders that cure at the least market impact, checked share by share against
the kernel.

The convex split (`impact.minimum_impacts`) is right between cliffs only. So it is worked out for every
pattern of the at most three concentrated names keeping or losing their add-on, scaled up until the kernel
agrees, and trimmed. Each name alone and the orders of highest beta first are candidates too, so that this
strategy never costs more than those. From the cheapest, lots are exchanged between names while that saves: in
whole lots and across cliffs the split need not be the best.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.highest_beta import steps_of_each
from margin_platform.liquidation.impact import impact_cost, minimum_impacts
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

# Multiples of the shortfall that are tried: fine about 1, where most answers are, and coarse beyond.
_SCALES = np.concatenate([np.linspace(0.05, 1.5, 146), np.geomspace(1.52, 400.0, 110)])
_EQUAL_VOLUME = 1e8  # dollars a day of a name whose volume is not given
_SESSIONS = 252.0
_LEAST_SIGMA = 1e-6  # a name that never moved still costs something to trade
_TRIED = 4_096  # lots below a quantity that one round of trimming tries
_SWAPPED = 6  # lots by which two names are exchanged at a time
_SWAPPING = 16  # names, those with the most sold, among which lots are exchanged
_WORTHWHILE = 0.9995  # of the impact: an exchange that saves less is not looked for


def propose_by_impact(
    book: Book,
    market: Market,
    policy: Policy,
    account: int,
    terms: Terms,
    adv: dict[str, float] | None = None,
) -> Proposal:
    """Propose orders over several names at least estimated impact.

    adv: dollars of average daily volume; equal for all where not given.

    Quantities keep to whole lots and to the caps of `terms`; its sequence is not used.
    """
    terms = replace(terms, order=None)
    priced = PricedMarket.of(market, policy)
    bench = Workbench(book, priced, account, terms)
    before = bench.excess()
    if refusal := nothing_to_do(bench, before):
        return refusal
    sigma = np.where(np.isnan(market.sigma), policy.volatility.default_sigma, market.sigma)[
        bench.codes
    ] / np.sqrt(_SESSIONS)
    sigma = np.maximum(sigma, _LEAST_SIGMA)
    volume = np.array([(adv or {}).get(s, _EQUAL_VOLUME) for s in bench.symbols])
    most = np.array([bench.quantities(k)[-1:].sum() for k in range(len(bench.codes))])
    by_beta = Workbench(book, priced, account, terms)
    for position, shares in steps_of_each([bench])[0]:
        by_beta.trade(position, shares)
    found = [
        _first_sufficient(bench, rates, sigma, volume, before, most)
        for rates in _rate_patterns(bench, policy)
    ]
    candidates = [_trimmed(bench, grid) for grid in found if grid is not None] + _alone(bench)
    others = np.abs(bench.quantity) - np.abs(by_beta.quantity)
    if by_beta.excess() >= terms.buffer:
        candidates.append(_trimmed(bench, others))

    def cost(sold: Floats) -> Floats:
        dollars: Floats = impact_cost(
            sold * bench.price, sigma, volume, policy.liquidation.impact_coefficient
        ).sum(axis=-1)
        return dollars

    sold = _exchanged(bench, min(candidates, key=cost), most, cost) if candidates else others
    return _as_proposal(bench, sold, before)


def _rate_patterns(bench: Workbench, policy: Policy) -> list[Floats]:
    """Return cure rates with each concentrated name's add-on counted or not: at most eight patterns."""
    rates = cure_rates(book_of([bench]), bench.priced)
    value = np.abs(bench.quantity) * bench.price
    rules = policy.concentration
    heavy = (
        np.flatnonzero(value > rules.conc_threshold * value.sum())
        if rules.use_conc
        else np.zeros(0, dtype=int)
    )
    patterns = []
    for without in itertools.product((False, True), repeat=len(heavy)):
        pattern = rates.copy()
        pattern[heavy[np.array(without, dtype=bool)]] -= rules.conc_addon
        patterns.append(np.maximum(pattern - bench.terms.slippage, 1e-6))
    return patterns


def _first_sufficient(
    bench: Workbench, rates: Floats, sigma: Floats, volume: Floats, before: float, most: Floats
) -> Floats | None:
    """Return the shares of the convex split, scaled by the smallest factor of a fine grid at which the kernel
    finds the buffer.
    """
    short = bench.terms.buffer - before
    lot = bench.terms.lot
    dollars = minimum_impacts(short * _SCALES, rates, sigma, volume, most * bench.price, 1.0)
    shares = np.ceil(np.round(dollars / bench.price / lot, 6)) * lot
    grid = np.minimum(shares, most)  # `most` is a whole number of lots, or all of the position
    enough = np.flatnonzero(bench.excess_after(grid) >= bench.terms.buffer)
    return grid[enough[0]] if len(enough) else None


def _alone(bench: Workbench) -> list[Floats]:
    """Return the least of each name that suffices by itself, which a split in whole lots may not come down
    to."""
    least = [bench.smallest_sufficient(k) for k in range(len(bench.codes))]
    return [
        np.where(np.arange(len(least)) == k, shares, 0.0)
        for k, shares in enumerate(least)
        if shares is not None
    ]


def _trimmed(bench: Workbench, sold: Floats) -> Floats:
    """Cut each name in turn to the least that still suffices with the others as they are, until no name can
    be cut.
    """
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


def _exchanged(bench: Workbench, sold: Floats, most: Floats, cost: Callable[[Floats], Floats]) -> Floats:
    """Exchange a few lots of one name for a few of another, as long as that suffices at less impact."""
    while True:
        swaps = _swaps(bench, sold, most)
        costs = cost(swaps)
        cheaper = np.argsort(costs, kind="stable")[: int((costs < cost(sold) * _WORTHWHILE).sum())]
        enough = np.flatnonzero(bench.excess_after(swaps[cheaper]) >= bench.terms.buffer)
        if not len(enough):
            return sold
        sold = _trimmed(bench, swaps[cheaper[enough[0]]])


def _swaps(bench: Workbench, sold: Floats, most: Floats) -> Floats:
    """Return sales that differ in two names by up to `_SWAPPED` lots each: fewer of one that is sold, more of
    another.
    """
    lot, steps = bench.terms.lot, np.arange(1, _SWAPPED + 1)
    rows = [sold[None, :]]
    names = np.argsort(-sold * bench.price, kind="stable")[:_SWAPPING]
    for i, j in itertools.permutations(names, 2):
        fewer = np.maximum(0.0, (np.ceil(sold[i] / lot) - steps) * lot)
        more = np.minimum(most[j], (np.floor(sold[j] / lot) + steps) * lot)
        if sold[i] > 0 and sold[j] < most[j]:
            pairs = np.tile(sold, (len(steps) ** 2, 1))
            pairs[:, i], pairs[:, j] = np.repeat(fewer, len(steps)), np.tile(more, len(steps))
            rows.append(pairs)
    return np.concatenate(rows)


def _as_proposal(bench: Workbench, sold: Floats, before: float) -> Proposal:
    after = float(bench.excess_after(sold[None, :])[0])
    traded = np.flatnonzero(sold > 0)
    proofs = []
    for position in traded:
        less = sold.copy()
        less[position] = bench.one_lot_less(less[position])
        proofs.append(
            Proof(
                bench.symbols[position],
                float(sold[position]),
                after,
                float(bench.excess_after(less[None, :])[0]),
            )
        )
    orders: list[Order] = [bench.trade(int(position), float(sold[position])) for position in traded]
    cured = after >= bench.terms.buffer
    statement = not_curable(bench, after)
    if cured:
        statement = (
            f"after these orders excess is {after:,.2f}, at least {bench.terms.buffer:,.2f}; one lot less "
            "of any name would not do; the least estimated impact of the splits tried, not necessarily the "
            "least turnover"
        )
    return Proposal(bench.account_id, tuple(orders), before, after, cured, statement, tuple(proofs))
