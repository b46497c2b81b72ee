"""Where a requirement leaves the straight line along the SPY moves: cliffs of instruments, and concentration.

Compiled. Both phases add to `need`, the account's requirement by lane in dollars, lane 0 today.
"""

from __future__ import annotations

from typing import NamedTuple

from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.account_rules import TIE, concentration_rate
from margin_platform.kernel.sweep.columns import (
    Flag,
    Positions,
    PositionSpan,
    Priced,
    Reach,
    Room,
    Share,
    Totals,
    row_of,
)
from margin_platform.kernel.sweep.compiled import inlined


class _Name(NamedTuple):
    """A position that may be concentrated. capped: a long one whose add-ons may exceed its value."""

    size: float
    symbol: int
    row: int
    value: float
    slope: float
    curved: bool
    capped: bool


@inlined
def bend(count: int, book: Positions, priced: Priced, room: Room) -> None:
    """Add to each lane what the first `count` positions of `bends` depart from the straight line."""
    need = room.need
    for n in range(count):
        k = room.bends[n]
        s = book.symbol[k]
        at = row_of(book, k)
        size = abs(book.quantity[k])
        share = priced.shares.need_long[s] if book.quantity[k] > 0.0 else priced.shares.need_short[s]
        straight, slope = priced.shares.rows[at, Share.NEED], priced.shares.rows[at, Share.NEED_SLOPE]
        for lane in range(1, len(need)):
            need[lane] += size * (share[lane] - straight - priced.rules.moves[lane] * slope)


@inlined
def concentration(
    lanes: int,
    span: PositionSpan,
    totals: Totals,
    book: Positions,
    priced: Priced,
    reach: Reach,
    room: Room,
    position_requirement: Floats,
) -> tuple[float, float]:
    """Add the concentration add-on of every name to the first `lanes` lanes of `need`.

    Returns:
        Today's add-on, and what the cap takes off it (negative).
    """
    gross, gross_slope = totals.long_mv + totals.short_mv, totals.gross_slope
    floor = priced.rules.concentration_threshold * min(
        gross + gross_slope * reach.low, gross + gross_slope * reach.high
    )
    line = line_slope = addon = cap = 0.0
    if not totals.most > floor:
        return addon, cap
    for k in range(span.first, span.last):
        if not room.peaks[k - span.first] > floor:
            continue
        name = _name(k, book, priced)
        before = room.need[0]
        if _over_in_every_lane(name, gross, gross_slope, priced, reach):
            line += priced.rules.concentration_addon * name.value
            line_slope += priced.rules.concentration_addon * name.slope
            more = priced.rules.concentration_addon * name.value
        else:
            charged, taken = _charge(lanes, name, gross, gross_slope, priced, room.need)
            addon += charged
            cap += taken - charged
            more = room.need[0] - before
        if len(position_requirement) > 0:
            position_requirement[k] += more
    if line > 0.0:
        for lane in range(lanes):
            room.need[lane] += line + priced.rules.moves[lane] * line_slope
    return addon + line, cap


@inlined
def _name(k: int, book: Positions, priced: Priced) -> _Name:
    rows, at, size = priced.shares.rows, row_of(book, k), abs(book.quantity[k])
    price = rows[at, Share.PRICE]
    curved = (priced.shares.flags[at] & Flag.CURVED.value) != 0
    fits = not curved and not rows[at, Share.NEED] + priced.rules.concentration_addon * price > price
    capped = priced.rules.cap_long and book.quantity[k] > 0.0 and not fits
    return _Name(size, book.symbol[k], at, size * price, size * rows[at, Share.BETA_PRICE], curved, capped)


@inlined
def _over_in_every_lane(name: _Name, gross: float, gross_slope: float, priced: Priced, reach: Reach) -> bool:
    """Report whether the full add-on is due in every lane, uncapped: it is a straight line then."""
    line = priced.rules.concentration_threshold * TIE
    over, slope = name.value - line * gross, name.slope - line * gross_slope
    straight = not name.capped and priced.rules.concentration_ramp <= 0.0
    return straight and over + slope * reach.low > 0.0 and over + slope * reach.high > 0.0


@inlined
def _charge(
    lanes: int, name: _Name, gross: float, gross_slope: float, priced: Priced, need: Floats
) -> tuple[float, float]:
    """Add one name's add-on to each lane's requirement; return today's, and what the cap leaves of it."""
    if priced.rules.concentration_ramp <= 0.0 and not name.capped:
        charged = _full_charge(lanes, name, gross, gross_slope, priced, need)
        return charged, charged
    return _limited_charge(lanes, name, gross, gross_slope, priced, need)


@inlined
def _full_charge(
    lanes: int, name: _Name, gross: float, gross_slope: float, priced: Priced, need: Floats
) -> float:
    """Charge all of the add-on in the lanes where the name is over the threshold, nothing in the others."""
    addon, line = priced.rules.concentration_addon, priced.rules.concentration_threshold * TIE
    over, slope = name.value - line * gross, name.slope - line * gross_slope
    for lane in range(lanes):
        move = priced.rules.moves[lane]
        need[lane] += addon * (name.value + name.slope * move) if over + slope * move > 0.0 else 0.0
    return addon * name.value if over > 0.0 else 0.0


@inlined
def _limited_charge(
    lanes: int, name: _Name, gross: float, gross_slope: float, priced: Priced, need: Floats
) -> tuple[float, float]:
    """Charge the add-on by lane where it is sloped, or where the position's value caps it."""
    charged = left = 0.0
    for lane in range(lanes):
        move = priced.rules.moves[lane]
        held = name.value + name.slope * move
        rate = concentration_rate(
            held,
            gross + gross_slope * move,
            priced.rules.concentration_threshold,
            priced.rules.concentration_addon,
            priced.rules.concentration_ramp,
        )
        charge = held * rate
        if charge <= 0.0:
            continue
        taken = charge
        if name.capped:
            taken = min(charge, max(0.0, held - name.size * _share(name, lane, priced)))
        need[lane] += taken
        if lane == 0:
            charged, left = charge, taken
    return charged, left


@inlined
def _share(name: _Name, lane: int, priced: Priced) -> float:
    """Return a long position's requirement a share in a lane, without the add-on."""
    need: float
    if name.curved:
        need = priced.shares.need_long[name.symbol, lane]
    else:
        rows = priced.shares.rows
        need = rows[name.row, Share.NEED] + priced.rules.moves[lane] * rows[name.row, Share.NEED_SLOPE]
    return need
