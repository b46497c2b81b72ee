"""The account sweep: one fused, compiled pass from positions to every margin figure of an account.

It runs over ranges of accounts, on as many threads as the caller likes (it releases the GIL). Its phases are
value, fixed-percentage requirement, portfolio margin and stress. Value, requirement and beta exposure are
straight lines along the SPY moves. So one row of eight numbers a position (`columns.Share`) carries today's
figures and every scenario's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.columns import (
    Figures,
    Flag,
    Groups,
    Outputs,
    Positions,
    PositionSpan,
    Priced,
    Reach,
    Room,
    Rules,
    Schedule,
    Share,
    Shares,
    Status,
    Totals,
    row_of,
)
from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk, kernel
from margin_platform.kernel.sweep.fixed_percentage import fixed_percentage, second_look
from margin_platform.kernel.sweep.row_sums import add_row, no_sums, sum_of
from margin_platform.kernel.sweep.tims import portfolio_margin
from margin_platform.kernel.sweep.whole_cents import published_excess, published_gross
from margin_platform.money import ROUNDING_REACH, exceeds

_CURVED_BIT = Flag.CURVED.bit_length() - 1

Plain = tuple[
    Any, ...
]  # the columns of a NamedTuple without their names: Numba recognizes those faster at each call


def _entry(
    lo: int,
    hi: int,
    accounts: NDArray[np.int64],
    positions: Plain,
    shares: Plain,
    schedule: Plain,
    groups: Plain,
    rules: Plain,
    outputs: Plain,
) -> None:
    """Work out accounts[lo:hi]."""
    book, out = Positions(*positions), Outputs(*outputs)
    priced = Priced(Shares(*shares), Schedule(*schedule), Groups(*groups), Rules(*rules))
    lanes = len(priced.rules.moves) if len(out.recomputed) > 0 else 1
    longest = _longest(lo, hi, accounts, book)
    room = Room(np.zeros(lanes), np.zeros(longest + 1, dtype=np.int64), np.zeros(longest + 1), np.zeros(0))
    _sweep(lo, hi, accounts, book, priced, room, out)


@kernel
def _sweep(
    lo: int, hi: int, accounts: NDArray[np.int64], book: Positions, priced: Priced, room: Room, out: Outputs
) -> None:
    rules = priced.rules
    reach, scenarios = _reach(rules.moves, 0, len(room.need)), _reach(rules.moves, 1, len(rules.moves))
    for r in range(lo, hi):
        account = accounts[r]
        span = PositionSpan(book.offsets[account], book.offsets[account + 1])
        totals = _value(span, book, priced, reach, room)
        equity = book.cash[account] + (totals.long_mv - totals.short_mv)
        extras = second_look(totals.seen, span, book, priced)
        fixed = fixed_percentage(span, totals, extras, book, priced, reach, room, out)
        tims, held_to_it = portfolio_margin(account, equity, span, totals, extras, book, priced, room, out)
        requirement = tims if held_to_it else fixed.need
        worst = _stress(r, equity, span, totals, book, priced, scenarios, room, out)
        figures = Figures(
            equity=equity,
            long_mv=totals.long_mv,
            short_mv=totals.short_mv,
            base_requirement=fixed.base,
            concentration_addon=fixed.concentration,
            volatility_addon=fixed.volatility,
            htb_addon=fixed.htb,
            cap_adjustment=fixed.cap,
            reg_t_requirement=totals.reg_t,
            portfolio_margin_req=tims,
            requirement=requirement,
            beta_weighted_exposure=totals.exposure,
            worst_stress=equity - requirement + worst if len(rules.moves) > 1 else math.nan,
            idiosyncratic_pnl=-rules.idiosyncratic_shock * totals.largest,
        )
        _write(r, figures, totals, rules.warn_frac, out)


@kernel
def _longest(lo: int, hi: int, accounts: NDArray[np.int64], book: Positions) -> int:
    """Count the positions of the account with the most of them."""
    longest = 0
    for r in range(lo, hi):
        longest = max(longest, book.offsets[accounts[r] + 1] - book.offsets[accounts[r]])
    return longest


@kernel
def _reach(moves: Floats, first: int, last: int) -> Reach:
    """Return the extremes of moves[first:last]; both 0.0 where there is none."""
    if last <= first:
        return Reach(0.0, 0.0)
    low = high = moves[first]
    for lane in range(first, last):
        low, high = min(low, moves[lane]), max(high, moves[lane])
    return Reach(low, high)


@inlined
def _value(span: PositionSpan, book: Positions, priced: Priced, reach: Reach, room: Room) -> Totals:
    """Add up the account, and note each position's peak and which positions bend."""
    rows = priced.shares.rows
    long_mv = short_mv = exposure = 0.0
    sums = no_sums()
    most = largest = 0.0
    largest_at = previous = -1
    seen = bent = 0
    boxed = False
    for k in range(span.first, span.last):
        place = np.uint64(k)  # unsigned: not asked whether it counts from the end
        s = book.symbol[place]
        q = book.quantity[place]
        size = abs(q)
        at = np.uint64(row_of(book, place))
        value = size * rows[at, Share.PRICE]
        slope = size * rows[at, Share.BETA_PRICE]
        long_value = value if q > 0.0 else 0.0
        long_mv += long_value
        short_mv += value - long_value
        exposure += q * rows[at, Share.BETA_PRICE]
        add_row(sums, rows, at, size)
        peak = value + slope * (reach.high if slope >= 0.0 else reach.low)
        room.peaks[np.uint64(k - span.first)] = peak
        most = max(most, peak)
        if value > largest:
            largest = value
            largest_at = k
        boxed |= s == previous
        previous = s
        flags = priced.shares.flags[at]
        seen |= flags
        room.bends[np.uint64(bent)] = k
        bent += (flags & Flag.CURVED.value) >> _CURVED_BIT
    return Totals(
        long_mv,
        short_mv,
        exposure,
        sum_of(sums, Share.BETA_PRICE.value),
        sum_of(sums, Share.NEED.value),
        sum_of(sums, Share.NEED_SLOPE.value),
        sum_of(sums, Share.BASE.value),
        sum_of(sums, Share.VOLATILITY.value),
        sum_of(sums, Share.REG_T.value),
        sum_of(sums, Share.TIMS.value),
        most,
        largest,
        largest_at,
        seen,
        bent,
        boxed,
    )


@inlined
def _stress(
    r: int,
    equity: float,
    span: PositionSpan,
    totals: Totals,
    book: Positions,
    priced: Priced,
    scenarios: Reach,
    room: Room,
    out: Outputs,
) -> float:
    """Write the account's P&L and recomputed excess by scenario; return its worst P&L."""
    if totals.seen & Flag.FLOORED.value:
        return _floored_stress(r, equity, span, book, priced, room, out)
    moves, need, exposure = priced.rules.moves, room.need, totals.exposure
    for lane in range(1, len(need)):
        out.recomputed[r, lane - 1] = equity + exposure * moves[lane] - need[lane]
    if len(out.pnl) > 0:
        for lane in range(1, len(moves)):
            out.pnl[r, lane - 1] = exposure * moves[lane]
    return min(exposure * scenarios.low, exposure * scenarios.high)


@inlined
def _floored_stress(
    r: int, equity: float, span: PositionSpan, book: Positions, priced: Priced, room: Room, out: Outputs
) -> float:
    """Compute each lane's P&L where a fall stops at -100%: every position is valued at every lane's price."""
    price, worst = priced.schedule.price, math.inf
    for lane in range(1, len(priced.rules.moves)):
        pnl = 0.0
        for k in range(span.first, span.last):
            s = book.symbol[k]
            pnl += book.quantity[k] * (price[s, lane] - price[s, 0])
        worst = min(worst, pnl)
        out.pnl[r, lane - 1] = pnl
        if lane < len(room.need):
            out.recomputed[r, lane - 1] = equity + pnl - room.need[lane]
    return worst


@inlined
def _write(r: int, figures: Figures, totals: Totals, warn_frac: float, out: Outputs) -> None:
    known = not math.isnan(figures.equity)
    for n in range(len(figures)):
        out.figures[n, r] = figures[n] if known else math.nan
    out.largest_position[r] = totals.largest_at
    if not known or totals.seen & Flag.STALE.value:
        out.status[r] = Status.STALE
    else:
        out.status[r] = _status(figures, totals.long_mv, totals.short_mv, warn_frac)


@inlined
def _status(figures: Figures, long_mv: float, short_mv: float, warn_frac: float) -> Status:
    excess = figures.equity - figures.requirement
    if excess > warn_frac * (long_mv + short_mv) + ROUNDING_REACH:
        return Status.ACTIVE
    if excess < -ROUNDING_REACH:
        return Status.MARGIN_CALL
    published = published_excess(figures.equity, long_mv - short_mv, figures.requirement)
    if published < 0.0:
        return Status.MARGIN_CALL
    if exceeds(warn_frac * published_gross(long_mv, short_mv), published):
        return Status.WARNING
    return Status.ACTIVE


sweep = kept_on_disk(_entry)
