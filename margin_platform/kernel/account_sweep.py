"""The account sweep: one fused, compiled pass from positions to every margin figure of an account.

There is one function, run over ranges of accounts, on as many threads as the caller likes (it releases the GIL). Value,
requirement and beta exposure are straight lines along the SPY moves, so one row of eight numbers a position (see
`priced_market`) carries today's figures and every scenario's; cliffs are added where an account meets one, and accounts with
boxes, shared issuers or prices floored at zero are worked out in full (`account_rules`).
"""

from __future__ import annotations

import hashlib
import math
import sys
from pathlib import Path

import numba
import numpy as np

from margin_platform.kernel.account_rules import TIE, requirement_in_full
from margin_platform.kernel.book import PORTFOLIO
from margin_platform.kernel.priced_market import (
    BASE_SHARE,
    BETA_PRICE,
    CHARGED,
    CURVED,
    EXTRAS,
    FLOORED,
    GROUPED,
    IS_STALE,
    NEED,
    NEED_SLOPE,
    PRICE,
    REG_T_SHARE,
    SHARED_ISSUER,
    TIMS_SHARE,
    TWIN,
    VOLATILITY_SHARE,
)
from margin_platform.kernel.scenario_cliffs import bend, concentrate
from margin_platform.kernel.tims import tims_requirement
from margin_platform.money import exceeds, round_cents

# Columns of the account figures, in the order the sweep writes them.
FIGURES = (
    "equity", "long_mv", "short_mv", "base_requirement", "concentration_addon", "volatility_addon", "htb_addon",
    "cap_adjustment", "reg_t_requirement", "portfolio_margin_req", "requirement", "beta_weighted_exposure",
    "worst_stress", "idiosyncratic_pnl",
)
(EQUITY, LONG_MV, SHORT_MV, BASE, CONCENTRATION, VOLATILITY, HTB, CAP, REG_T_REQUIREMENT, PORTFOLIO_REQ, REQUIREMENT,
 BETA_EXPOSURE, WORST_STRESS, IDIOSYNCRATIC) = range(len(FIGURES))

ACTIVE, WARNING, MARGIN_CALL, STALE = 0, 1, 2, 3
_FAR = 0.02   # dollars from a line at which rounding to cents decides nothing
_CURVED_BIT = CURVED.bit_length() - 1
_COUNTED = GROUPED | SHARED_ISSUER | TWIN | EXTRAS   # flags that need a second look at the account


@numba.njit(nogil=True, inline="always")
def _status(excess, gross, warn_frac):
    line = warn_frac * gross
    if excess > line + _FAR:
        return ACTIVE
    if excess < -_FAR:
        return MARGIN_CALL
    published = round_cents(excess)
    if published < 0.0:
        return MARGIN_CALL
    if exceeds(warn_frac * round_cents(gross), published):
        return WARNING
    return ACTIVE


@numba.njit(nogil=True)
def _longest(lo, hi, accounts, offsets):
    """Positions of the account with the most of them."""
    longest = 0
    for r in range(lo, hi):
        longest = max(longest, offsets[accounts[r] + 1] - offsets[accounts[r]])
    return longest


@numba.njit(nogil=True)
def _sweep(lo, hi, accounts, cash, margin_type, offsets, symbol, quantity, rows, flags, need_long, need_short,
          price, long_base, short_base, volatility, htb, security, issuer, scan_up, scan_down, minimum, klass, product, portfolio,
          product_offset, portfolio_offset, moves, use_conc, threshold, addon, ramp, cap_long, box_rate, warn_frac, pm_minimum, idio_shock,
          figures, status, largest_position, pnl, recomputed, position_req, group_req):
    """Margin of accounts[lo:hi]; row r of the outputs is account accounts[r]. Dollars, not rounded.

    moves: SPY moves by lane, lane 0 is today (0.0). figures: (FIGURES, rows); status: (rows,) int8; largest_position: (rows,);
    pnl: (rows, moves - 1), or empty where no price is floored; recomputed: (rows, moves - 1) or empty; position_req,
    group_req: (positions,) or empty.
    """
    lanes = len(moves)
    wanted = lanes if len(recomputed) > 0 else 1
    lowest, highest = moves[:wanted].min(), moves[:wanted].max()
    low_move, high_move = (moves[1:].min(), moves[1:].max()) if lanes > 1 else (0.0, 0.0)
    need = np.zeros(wanted)
    bends = np.zeros(_longest(lo, hi, accounts, offsets) + 1, dtype=np.int64)
    peaks = np.zeros(len(bends))
    parts, unused, today = np.zeros(5), np.zeros(5), np.zeros(2)
    nothing = np.zeros(0)
    for r in range(lo, hi):
        account = accounts[r]
        first, last = offsets[account], offsets[account + 1]
        long_mv = short_mv = exposure = gross_slope = required = required_slope = base = vol = reg_t = tims = 0.0
        borrow = cap = conc = largest = most = 0.0
        largest_at = -1
        seen = grouped = shared = twins = bent = 0
        boxed = False
        previous = -1
        for k in range(first, last):
            s = symbol[k]
            q = quantity[k]
            size = abs(q)
            at = 2 * s + (0 if q > 0.0 else 1)
            value = size * rows[at, PRICE]
            slope = size * rows[at, BETA_PRICE]
            long_value = value if q > 0.0 else 0.0
            long_mv += long_value
            short_mv += value - long_value
            exposure += q * rows[at, BETA_PRICE]
            gross_slope += slope
            required += size * rows[at, NEED]
            required_slope += size * rows[at, NEED_SLOPE]
            base += size * rows[at, BASE_SHARE]
            vol += size * rows[at, VOLATILITY_SHARE]
            reg_t += size * rows[at, REG_T_SHARE]
            tims += size * rows[at, TIMS_SHARE]
            peak = max(value + slope * lowest, value + slope * highest)
            peaks[k - first] = peak
            most = max(most, peak)
            if value > largest:
                largest = value
                largest_at = k
            boxed |= s == previous
            previous = s
            f = flags[at]
            seen |= f
            bends[bent] = k
            bent += (f & CURVED) >> _CURVED_BIT
        if seen & _COUNTED:
            for k in range(first, last):
                at = 2 * symbol[k] + (0 if quantity[k] > 0.0 else 1)
                f = flags[at]
                grouped += 1 if f & GROUPED else 0
                shared += 1 if f & SHARED_ISSUER else 0
                twins += 1 if f & TWIN else 0
                if f & EXTRAS:
                    more = abs(quantity[k]) * (rows[at, NEED] - rows[at, BASE_SHARE] - rows[at, VOLATILITY_SHARE])
                    cap += more if quantity[k] > 0.0 else 0.0
                    borrow += 0.0 if quantity[k] > 0.0 else more
        if len(position_req) > 0:
            for k in range(first, last):
                position_req[k] = abs(quantity[k]) * rows[2 * symbol[k] + (0 if quantity[k] > 0.0 else 1), NEED]
        equity = cash[account] + (long_mv - short_mv)
        gross = long_mv + short_mv
        known = not math.isnan(equity)
        floored = (seen & FLOORED) != 0
        in_full = boxed or shared > 1 or twins > 1
        if in_full:
            required = requirement_in_full(first, last, 0, symbol, quantity, security, issuer, price, long_base, short_base, volatility,
                                           htb, use_conc, threshold, addon, ramp, cap_long, box_rate, parts, position_req)
            base, conc, vol, borrow, cap = parts[0], parts[1], parts[2], parts[3], parts[4]
        need[0] = required
        if in_full or floored:
            for lane in range(1, wanted):
                need[lane] = requirement_in_full(first, last, lane, symbol, quantity, security, issuer, price, long_base, short_base,
                                                 volatility, htb, use_conc, threshold, addon, ramp, cap_long, box_rate, unused, nothing)
        else:
            for lane in range(1, wanted):
                need[lane] = required + moves[lane] * required_slope
            bend(bends, bent, wanted, symbol, quantity, rows, need_long, need_short, moves, need)
        if use_conc and not in_full:
            floor = threshold * min(gross + gross_slope * lowest, gross + gross_slope * highest)
            if most > floor:
                lanes_left = 1 if floored else wanted   # a floored account has its scenarios in full already
                line = line_slope = today[0] = today[1] = 0.0
                for k in range(first, last):
                    if peaks[k - first] > floor:
                        s = symbol[k]
                        at = 2 * s + (0 if quantity[k] > 0.0 else 1)
                        curved = (flags[at] & CURVED) != 0
                        capped = cap_long and quantity[k] > 0.0 and (curved or rows[at, NEED] + addon * rows[at, PRICE] > rows[at, PRICE])
                        before = need[0]
                        size = abs(quantity[k])
                        value, slope = size * rows[at, PRICE], size * rows[at, BETA_PRICE]
                        over, over_slope = value - threshold * TIE * gross, slope - threshold * TIE * gross_slope
                        if not capped and ramp <= 0.0 and over + over_slope * lowest > 0.0 and over + over_slope * highest > 0.0:
                            line += addon * value
                            line_slope += addon * slope
                            if len(position_req) > 0:
                                position_req[k] += addon * value
                            continue
                        concentrate(lanes_left, capped, curved, size, s, at, rows, need_long, moves, gross, gross_slope,
                                     threshold, addon, ramp, need, today)
                        if len(position_req) > 0:
                            position_req[k] += need[0] - before
                if line > 0.0:
                    for lane in range(lanes_left):
                        need[lane] += line + moves[lane] * line_slope
                conc = today[0] + line
                cap += today[1]
        netted = grouped > 1 or boxed or (seen & CHARGED) != 0
        if netted or len(group_req) > 0:
            tims = tims_requirement(first, last, 0, symbol, quantity, price, scan_up, scan_down, minimum, klass, product, portfolio,
                                    product_offset, portfolio_offset, group_req)
        by_tims = margin_type[account] == PORTFOLIO and round_cents(equity) >= pm_minimum
        requirement = tims if by_tims else need[0]
        if by_tims and wanted > 1:
            tims_slope = 0.0
            if not netted:
                for k in range(first, last):
                    at = 2 * symbol[k] + (0 if quantity[k] > 0.0 else 1)
                    tims_slope += abs(quantity[k]) * rows[at, TIMS_SHARE] * rows[at, BETA_PRICE] / rows[at, PRICE]
            for lane in range(1, wanted):
                if netted or floored:
                    need[lane] = tims_requirement(first, last, lane, symbol, quantity, price, scan_up, scan_down, minimum, klass, product,
                                                  portfolio, product_offset, portfolio_offset, nothing)
                else:
                    need[lane] = tims + moves[lane] * tims_slope
        if floored:
            worst = math.inf
            for lane in range(1, lanes):
                delta = 0.0
                for k in range(first, last):
                    delta += quantity[k] * (price[symbol[k], lane] - price[symbol[k], 0])
                worst = min(worst, delta)
                pnl[r, lane - 1] = delta
                if lane < wanted:
                    recomputed[r, lane - 1] = equity + delta - need[lane]
        else:
            worst = min(exposure * low_move, exposure * high_move)
            for lane in range(1, wanted):
                recomputed[r, lane - 1] = equity + exposure * moves[lane] - need[lane]
            if len(pnl) > 0:
                for lane in range(1, lanes):
                    pnl[r, lane - 1] = exposure * moves[lane]
        figures[EQUITY, r] = equity
        figures[LONG_MV, r] = long_mv
        figures[SHORT_MV, r] = short_mv
        figures[BASE, r] = base
        figures[CONCENTRATION, r] = conc
        figures[VOLATILITY, r] = vol
        figures[HTB, r] = borrow
        figures[CAP, r] = cap
        figures[REG_T_REQUIREMENT, r] = reg_t
        figures[PORTFOLIO_REQ, r] = tims
        figures[REQUIREMENT, r] = requirement
        figures[BETA_EXPOSURE, r] = exposure
        figures[WORST_STRESS, r] = equity - requirement + worst if lanes > 1 else math.nan
        figures[IDIOSYNCRATIC, r] = -idio_shock * largest
        if not known:
            for n in range(len(figures)):
                figures[n, r] = math.nan
        largest_position[r] = largest_at
        if not known or seen & IS_STALE:
            status[r] = STALE
        else:
            status[r] = _status(equity - requirement, gross, warn_frac)


def source_digest(*modules: str) -> str:
    """A digest of every file some compiled code comes from."""
    sources = (Path(str(sys.modules[m].__file__)).read_bytes() for m in modules)
    return hashlib.sha256(b"".join(sources)).hexdigest()


def _cached(digest: str):
    """The sweep with its machine code kept on disk. Numba's cache looks at one file's date only; the digest makes it look at all."""

    @numba.njit(nogil=True, cache=True)
    def run(*arguments):
        if len(digest) > 0:
            _sweep(*arguments)

    return run


_SOURCES = (
    __name__, "margin_platform.money",
    *(f"margin_platform.kernel.{name}" for name in ("account_rules", "scenario_cliffs", "tims", "priced_market")),
)
sweep = _cached(source_digest(*_SOURCES))
