"""The fixed-percentage requirement of one account, today and in every scenario, compiled.

Along the SPY moves it is a straight line with the cliffs and the concentration of `scenario_cliffs`. Boxes
and shared issuers leave that line altogether, and so do scenarios with a price floored at zero.
`account_rules` works them out.
"""

from __future__ import annotations

from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.account_rules import requirement_in_full
from margin_platform.kernel.sweep.columns import (
    Extras,
    Flag,
    Outputs,
    Positions,
    PositionSpan,
    Priced,
    Reach,
    Requirement,
    Room,
    Share,
    Totals,
    row_of,
)
from margin_platform.kernel.sweep.compiled import inlined
from margin_platform.kernel.sweep.scenario_cliffs import bend, concentration

_SECOND_LOOK = int(Flag.GROUPED | Flag.SHARED_ISSUER | Flag.TWIN | Flag.EXTRAS)


@inlined
def second_look(seen: int, span: PositionSpan, book: Positions, priced: Priced) -> Extras:
    """Look again at an account whose positions may depend on one another or carry charges of their own."""
    grouped = shared = twins = 0
    borrow = cap = 0.0
    if seen & _SECOND_LOOK:
        for k in range(span.first, span.last):
            at = row_of(book, k)
            flags = priced.shares.flags[at]
            grouped += 1 if flags & Flag.GROUPED.value else 0
            shared += 1 if flags & Flag.SHARED_ISSUER.value else 0
            twins += 1 if flags & Flag.TWIN.value else 0
            if flags & Flag.EXTRAS.value:
                row = priced.shares.rows[at]
                plain = row[Share.NEED] - row[Share.BASE] - row[Share.VOLATILITY]
                more = abs(book.quantity[k]) * plain
                cap += more if book.quantity[k] > 0.0 else 0.0
                borrow += 0.0 if book.quantity[k] > 0.0 else more
    return Extras(grouped, shared, twins, borrow, cap)


@inlined
def fixed_percentage(
    span: PositionSpan,
    totals: Totals,
    extras: Extras,
    book: Positions,
    priced: Priced,
    reach: Reach,
    room: Room,
    out: Outputs,
) -> Requirement:
    """Compute today's requirement and its parts; the requirement by lane goes to `need`."""
    need = room.need
    floored = (totals.seen & Flag.FLOORED.value) != 0
    in_full = totals.boxed or extras.shared > 1 or extras.twins > 1
    if in_full or floored:
        for lane in range(1, len(need)):
            need[lane] = requirement_in_full(span, lane, book, priced, room.nothing).need
    if in_full:
        today = requirement_in_full(span, 0, book, priced, out.position_requirement)
        need[0] = today.need
        return today
    _position_requirements(span, book, priced, out.position_requirement)
    need[0] = totals.need
    lanes = 1 if floored else len(need)
    if not floored:
        for lane in range(1, lanes):
            need[lane] = totals.need + priced.rules.moves[lane] * totals.need_slope
        bend(totals.bent, book, priced, room)
    addon = cap = 0.0
    if priced.rules.use_concentration:
        addon, cap = concentration(lanes, span, totals, book, priced, reach, room, out.position_requirement)
    return Requirement(need[0], totals.base, addon, totals.volatility, extras.borrow, extras.cap + cap)


@inlined
def _position_requirements(
    span: PositionSpan, book: Positions, priced: Priced, position_requirement: Floats
) -> None:
    """Write each position's requirement without concentration, where that detail is wanted."""
    if len(position_requirement) > 0:
        for k in range(span.first, span.last):
            position_requirement[k] = abs(book.quantity[k]) * priced.shares.rows[row_of(book, k), Share.NEED]
