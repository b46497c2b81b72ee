"""The min-impact strategy: the orders that cure at the least market impact, checked share by share against the kernel.

The convex split (`impact.minimum_impact`) is right between cliffs only. So it is worked out for every pattern of the at most
three concentrated names keeping or losing their add-on, scaled up until the kernel agrees, trimmed, and the cheapest kept.
"""

from __future__ import annotations

import itertools

import numpy as np

from margin_platform.book import Book, Floats, Market
from margin_platform.impact import impact_cost, minimum_impacts
from margin_platform.liquidation import Order, Proof, Proposal, Terms, Workbench, _nothing_to_do, _proposal, cure_rates
from margin_platform.policy import Policy

_SCALES = np.concatenate([np.linspace(0.05, 1.5, 146), np.geomspace(1.52, 400.0, 110)])
_SESSIONS = 252.0


def propose_by_impact(
    book: Book, market: Market, policy: Policy, account: int, terms: Terms, adv: dict[str, float] | None = None
) -> Proposal:
    """Orders over several names at least impact. adv: dollars of average daily volume by symbol; equal for all where not given."""
    bench = Workbench(book, market, policy, account, terms)
    before = bench.excess()
    if refusal := _nothing_to_do(bench, before):
        return refusal
    sigma = np.where(np.isnan(market.sigma), policy.volatility.default_sigma, market.sigma)[bench.codes] / np.sqrt(_SESSIONS)
    volume = np.array([(adv or {}).get(s, 1e8) for s in bench.symbols])
    candidates = [
        trimmed
        for rates in _rate_patterns(bench, policy)
        if (found := _first_sufficient(bench, rates, sigma, volume, before)) is not None
        for trimmed in [_trimmed(bench, found)]
    ]
    sold = min(candidates, key=lambda s: float(impact_cost(s * bench.price, sigma, volume, 1.0).sum()), default=np.abs(bench.quantity))
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


def _first_sufficient(bench: Workbench, rates: Floats, sigma: Floats, volume: Floats, before: float) -> Floats | None:
    """Shares of the convex split, scaled by the smallest factor of a fine grid at which the kernel finds the buffer."""
    short = bench.terms.buffer - before
    size = np.abs(bench.quantity)
    most = np.minimum(size, [bench.terms.most_shares.get(s, np.inf) for s in bench.symbols])
    lot = bench.terms.lot
    dollars = minimum_impacts(short * _SCALES, rates, sigma, volume, most * bench.price, 1.0)
    shares = np.ceil(np.round(dollars / bench.price / lot, 6)) * lot
    grid = np.where(shares >= size, size, np.minimum(shares, np.floor(most / lot) * lot))
    enough = np.flatnonzero(bench.excess_after(grid) >= bench.terms.buffer)
    return grid[enough[0]] if len(enough) else None


def _trimmed(bench: Workbench, sold: Floats) -> Floats:
    """Each name in turn cut to the least that still suffices with the others as they are."""
    sold = sold.copy()
    for position in np.argsort(-sold * bench.price):
        choices = np.arange(0.0, sold[position] + 1e-9, bench.terms.lot)[-4096:]
        grid = np.tile(sold, (len(choices), 1))
        grid[:, position] = choices
        enough = np.flatnonzero(bench.excess_after(grid) >= bench.terms.buffer)
        if len(enough):
            sold[position] = choices[enough[0]]
    return sold


def _as_proposal(bench: Workbench, sold: Floats, before: float) -> Proposal:
    after = float(bench.excess_after(sold[None, :])[0])
    traded = np.flatnonzero(sold > 0)
    proofs = []
    for position in traded:
        less = sold.copy()
        less[position] = max(0.0, less[position] - bench.terms.lot)
        proofs.append(Proof(bench.symbols[position], float(sold[position]), after, float(bench.excess_after(less[None, :])[0])))
    orders: list[Order] = [bench.trade(int(position), float(sold[position])) for position in traded]
    return _proposal(bench, orders, proofs, before, after)
