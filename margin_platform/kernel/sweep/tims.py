"""TIMS netting of one account, compiled: FINRA 4210(g), classes within products within portfolio groups.

Stock P&L is linear along the scan range. So of the ten valuation points only the outermost two decide, and
only those are carried; the ten are spelled out in `valuation_points.valuation_points`.
"""

from __future__ import annotations

from typing import NamedTuple

from margin_platform.kernel.book import PORTFOLIO
from margin_platform.kernel.market import Codes, Floats
from margin_platform.kernel.sweep.columns import (
    Extras,
    Flag,
    Outputs,
    Positions,
    PositionSpan,
    Priced,
    Room,
    Share,
    Totals,
    row_of,
)
from margin_platform.kernel.sweep.compiled import inlined, kernel
from margin_platform.kernel.sweep.whole_cents import published_equity


class _Netting(NamedTuple):
    """A group's P&L at the outermost points: totals, and the gains among them."""

    up: float
    down: float
    gain_up: float
    gain_down: float
    members: int


@inlined
def _empty() -> _Netting:
    return _Netting(0.0, 0.0, 0.0, 0.0, 0)


@inlined
def _joined(group: _Netting, up: float, down: float) -> _Netting:
    """Return the group with one more member."""
    return _Netting(
        group.up + up,
        group.down + down,
        group.gain_up + max(0.0, up),
        group.gain_down + max(0.0, down),
        group.members + 1,
    )


@inlined
def _netted(group: _Netting, offset: float) -> tuple[float, float]:
    """Net a group up and down: losses in full, gains at the offset; a lone member passes uncut (H03)."""
    if group.members <= 1:
        return group.up, group.down
    return (group.up - group.gain_up) + offset * group.gain_up, (
        group.down - group.gain_down
    ) + offset * group.gain_down


@inlined
def _offset(code: int, offsets: Floats) -> float:
    return offsets[code] if code >= 0 else 0.0


@inlined
def _goes_on(group: Codes, symbol: int, following: int) -> bool:
    """Report whether the next position belongs to the same group."""
    return following >= 0 and group[symbol] >= 0 and group[following] == group[symbol]


@kernel
def tims_requirement(
    span: PositionSpan, lane: int, book: Positions, priced: Priced, group_requirement: Floats
) -> float:
    """Compute the TIMS requirement in dollars of an account's positions at a lane's prices.

    Positions are in group order. Where `group_requirement` has room, each outermost group's is written at its
    last position.
    """
    requirement = 0.0
    class_up = class_down = charge = 0.0  # charge: the portfolio group's minimum
    product, portfolio = _empty(), _empty()
    for k in range(span.first, span.last):
        s = book.symbol[k]
        value = book.quantity[k] * priced.schedule.price[s, lane]
        class_up += value * priced.schedule.scan_up[s]
        class_down -= value * priced.schedule.scan_down[s]
        charge += priced.groups.minimum_charge[s] * abs(book.quantity[k])
        following = book.symbol[k + 1] if k + 1 < span.last else -1
        if _goes_on(priced.groups.class_group, s, following):
            continue
        product = _joined(product, class_up, class_down)
        class_up = class_down = 0.0
        if _goes_on(priced.groups.product_group, s, following):
            continue
        up, down = _netted(product, _offset(priced.groups.product_group[s], priced.groups.product_offset))
        portfolio = _joined(portfolio, up, down)
        product = _empty()
        if _goes_on(priced.groups.portfolio_group, s, following):
            continue
        up, down = _netted(
            portfolio, _offset(priced.groups.portfolio_group[s], priced.groups.portfolio_offset)
        )
        due = max(max(-up, -down), max(0.0, charge))
        if len(group_requirement) > 0:
            group_requirement[k] = due
        requirement += due
        charge = 0.0
        portfolio = _empty()
    return requirement


@inlined
def portfolio_margin(
    account: int,
    equity: float,
    span: PositionSpan,
    totals: Totals,
    extras: Extras,
    book: Positions,
    priced: Priced,
    room: Room,
    out: Outputs,
) -> tuple[float, bool]:
    """Compute portfolio margin, and whether the account is held to it; `need` then gets it by scenario."""
    netted = extras.grouped > 1 or totals.boxed or (totals.seen & Flag.CHARGED.value) != 0
    tims = totals.tims
    if netted or len(out.group_requirement) > 0:
        tims = tims_requirement(span, 0, book, priced, out.group_requirement)
    held_to_it = (
        book.margin_type[account] == PORTFOLIO
        and published_equity(equity, totals.long_mv - totals.short_mv)
        >= priced.rules.portfolio_minimum_equity
    )
    if held_to_it and len(room.need) > 1:
        _scenarios(tims, netted, span, totals, book, priced, room)
    return tims, held_to_it


@inlined
def _scenarios(
    tims: float, netted: bool, span: PositionSpan, totals: Totals, book: Positions, priced: Priced, room: Room
) -> None:
    """Compute portfolio margin by scenario: a straight line where nothing nets and no price is floored."""
    need = room.need
    if netted or totals.seen & Flag.FLOORED.value:
        for lane in range(1, len(need)):
            need[lane] = tims_requirement(span, lane, book, priced, room.nothing)
        return
    slope = _slope(span, book, priced)
    for lane in range(1, len(need)):
        need[lane] = tims + priced.rules.moves[lane] * slope


@inlined
def _slope(span: PositionSpan, book: Positions, priced: Priced) -> float:
    """Return how portfolio margin changes by SPY move where each position stands alone."""
    rows, slope = priced.shares.rows, 0.0
    for k in range(span.first, span.last):
        at = row_of(book, k)
        slope += (
            abs(book.quantity[k]) * rows[at, Share.TIMS] * rows[at, Share.BETA_PRICE] / rows[at, Share.PRICE]
        )
    return slope
