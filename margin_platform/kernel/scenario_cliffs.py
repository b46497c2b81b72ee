"""Where an account's requirement leaves the straight line along the SPY moves, compiled: cliffs of instruments, and concentration.

`rows`, `need_long` and `need_short` are those of a `PricedMarket`; `need` is the account's requirement by lane, in dollars, lane 0
today, and is added to in place.
"""

from __future__ import annotations

import numba

from margin_platform.kernel.account_rules import TIE, concentration_rate
from margin_platform.kernel.priced_market import BETA_PRICE, NEED, NEED_SLOPE, PRICE


@numba.njit(nogil=True, inline="always")
def bend(bends, count, wanted, symbol, quantity, rows, need_long, need_short, moves, need):
    """Adds to each lane's requirement what the cliffs of the positions `bends` depart from the straight line."""
    for n in range(count):
        k = bends[n]
        s = symbol[k]
        at = 2 * s + (0 if quantity[k] > 0.0 else 1)
        size = abs(quantity[k])
        share = need_long[s] if quantity[k] > 0.0 else need_short[s]
        straight, slope = rows[at, NEED], rows[at, NEED_SLOPE]
        for lane in range(1, wanted):
            need[lane] += size * (share[lane] - straight - moves[lane] * slope)


@numba.njit(nogil=True, inline="always")
def concentrate(lanes, capped, curved, size, s, at, rows, need_long, moves, gross, gross_slope, threshold, addon, ramp, need, today):
    """Adds one name's concentration add-on to each lane's requirement; `today` gathers lane 0's add-on and what the cap takes off it.

    capped: a long position whose add-ons may exceed its value.
    """
    value, slope = size * rows[at, PRICE], size * rows[at, BETA_PRICE]
    if ramp <= 0.0 and not capped:
        over, over_slope = value - threshold * TIE * gross, slope - threshold * TIE * gross_slope
        if over > 0.0:
            today[0] += addon * value
        for lane in range(lanes):
            need[lane] += addon * (value + slope * moves[lane]) if over + over_slope * moves[lane] > 0.0 else 0.0
        return
    for lane in range(lanes):
        held = value + slope * moves[lane]
        charge = held * concentration_rate(held, gross + gross_slope * moves[lane], threshold, addon, ramp)
        if charge <= 0.0:
            continue
        taken = charge
        if capped:
            share = need_long[s, lane] if curved else rows[at, NEED] + moves[lane] * rows[at, NEED_SLOPE]
            taken = min(charge, max(0.0, held - size * share))
        need[lane] += taken
        if lane == 0:
            today[0] += charge
            today[1] += taken - charge
