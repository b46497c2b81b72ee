"""The account sweep: one fused, compiled pass from positions to every margin figure of an account.

Compiled twice from nothing: there is one function, run over ranges of accounts, on as many threads as the caller
likes (it releases the GIL). Lane 0 is today's price; lane 1 + s is stress scenario s. Stock P&L is linear along the
TIMS range, so of the ten valuation points the outermost up and down decide, and only those two are carried; the ten
are spelled out in `portfolio_margin.valuation_points`.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from margin_platform.book import PORTFOLIO
from margin_platform.money import round_cents

# Columns of the account figures, in the order the sweep writes them.
FIGURES = (
    "equity", "long_mv", "short_mv", "base_requirement", "concentration_addon", "volatility_addon", "htb_addon",
    "cap_adjustment", "reg_t_requirement", "portfolio_margin_req", "requirement", "beta_weighted_exposure",
    "worst_stress", "idiosyncratic_pnl",
)
(EQUITY, LONG_MV, SHORT_MV, BASE, CONCENTRATION, VOLATILITY, HTB, CAP, REG_T_REQUIREMENT, PORTFOLIO_REQ, REQUIREMENT,
 BETA_EXPOSURE, WORST_STRESS, IDIOSYNCRATIC) = range(len(FIGURES))

ACTIVE, WARNING, MARGIN_CALL, STALE = 0, 1, 2, 3


@numba.njit(nogil=True, cache=True)
def concentration_rate(weight, threshold, addon, ramp):
    """The add-on rate at a weight of gross value: nothing up to the threshold, then all of it, or sloped over `ramp`."""
    if not weight > threshold:
        return 0.0
    if ramp <= 0.0:
        return addon
    return addon * min(1.0, (weight - threshold) / ramp)


@numba.njit(nogil=True, cache=True)
def _issuer_value(k, first, last, symbol, quantity, issuer, price, lane):
    """Gross value of all positions of one account in the issuer of position k, at a lane's prices."""
    total = 0.0
    for j in range(first, last):
        if issuer[symbol[j]] == issuer[symbol[k]]:
            total += abs(quantity[j]) * price[symbol[j], lane]
    return total


@numba.njit(nogil=True, cache=True)
def _boxed_shares(k, first, last, symbol, quantity):
    """Shares of position k offset by the opposite side of the same instrument (a box); its rows are neighbours."""
    for j in (k - 1, k + 1):
        if first <= j < last and symbol[j] == symbol[k]:
            return min(abs(quantity[j]), abs(quantity[k]))
    return 0.0


@numba.njit(nogil=True, cache=True)
def _group_pnl(total, gains, members, offset):
    """P&L of a group at one point: losses in full, gains at the offset; a lone member passes through uncut (H03)."""
    if members <= 1:
        return total
    return (total - gains) + offset * gains


@numba.njit(nogil=True, cache=True)
def tims_requirement(first, last, lane, symbol, quantity, price, up, down, minimum, klass, product, portfolio,
                     product_offset, portfolio_offset, group_out):
    """TIMS requirement of one account at a lane's prices: FINRA 4210(g), classes within products within portfolio groups.

    Walks the positions in group order. A product or portfolio group code of -1 stands alone. Where `group_out` has
    room, each outermost group's requirement is written at its last position.
    """
    requirement = 0.0
    p_up = p_down = p_gain_up = p_gain_down = 0.0     # product group: totals and gains at the outermost points
    g_up = g_down = g_gain_up = g_gain_down = charge = 0.0   # portfolio group, and its per-contract minimum
    c_up = c_down = 0.0
    p_members = g_members = 0
    for k in range(first, last):
        s = symbol[k]
        value = quantity[k] * price[s, lane]
        c_up += value * up[s]
        c_down -= value * down[s]
        if minimum[s] > 0.0:
            due = minimum[s] * abs(quantity[k])
            charge += min(due, value) if quantity[k] > 0.0 else due
        n = symbol[k + 1] if k + 1 < last else -1
        if n >= 0 and klass[n] == klass[s]:
            continue
        p_up += c_up
        p_down += c_down
        p_gain_up += max(0.0, c_up)
        p_gain_down += max(0.0, c_down)
        p_members += 1
        c_up = c_down = 0.0
        if n >= 0 and product[s] >= 0 and product[n] == product[s]:
            continue
        off = product_offset[product[s]] if product[s] >= 0 else 0.0
        u = _group_pnl(p_up, p_gain_up, p_members, off)
        d = _group_pnl(p_down, p_gain_down, p_members, off)
        p_up = p_down = p_gain_up = p_gain_down = 0.0
        p_members = 0
        g_up += u
        g_down += d
        g_gain_up += max(0.0, u)
        g_gain_down += max(0.0, d)
        g_members += 1
        if n >= 0 and portfolio[s] >= 0 and portfolio[n] == portfolio[s]:
            continue
        off = portfolio_offset[portfolio[s]] if portfolio[s] >= 0 else 0.0
        u = _group_pnl(g_up, g_gain_up, g_members, off)
        d = _group_pnl(g_down, g_gain_down, g_members, off)
        due = max(max(-u, -d), max(0.0, charge))
        if len(group_out) > 0:
            group_out[k] = due
        requirement += due
        g_up = g_down = g_gain_up = g_gain_down = charge = 0.0
        g_members = 0
    return requirement


@numba.njit(nogil=True, cache=True)
def _status(excess, gross, warn_frac):
    if round_cents(excess) < 0.0:
        return MARGIN_CALL
    if round_cents(excess) < round_cents(warn_frac * gross):
        return WARNING
    return ACTIVE


@numba.njit(nogil=True, cache=True)
def sweep(lo, hi, rows, cash, margin_type, offsets, symbol, quantity,
          price, long_base, short_base, volatility, htb, beta, reg_t_rate, stale, issuer, issuer_shared,
          scan_up, scan_down, minimum, klass, product, portfolio, product_offset, portfolio_offset,
          moves, use_conc, threshold, addon, ramp, cap_long, box_rate, warn_frac, pm_minimum, idio_shock,
          figures, status, idio_position, pnl, recomputed, position_req, group_req):
    """Margin of accounts rows[lo:hi]; row r of the outputs is account rows[r].

    figures: (FIGURES, rows); status: (rows,) int8; idio_position: (rows,) the largest position; pnl, recomputed:
    (rows, scenarios) or empty; position_req, group_req: (positions,) or empty.
    """
    lanes = price.shape[1]
    scenarios = lanes - 1
    net = np.zeros(lanes)
    gross = np.zeros(lanes)
    need = np.zeros(lanes)
    no_groups = np.zeros(0)
    for r in range(lo, hi):
        account = rows[r]
        first = offsets[account]
        last = offsets[account + 1]
        long_mv = short_mv = base = conc = vol = borrow = cap = exposure = reg_t = largest = 0.0
        largest_at = -1
        is_stale = False
        for lane in range(lanes):
            net[lane] = 0.0
            gross[lane] = 0.0
            need[lane] = 0.0
        for k in range(first, last):
            s = symbol[k]
            q = quantity[k]
            size = abs(q)
            value = size * price[s, 0]
            is_stale |= stale[s]
            exposure += q * price[s, 0] * beta[s]
            reg_t += value * reg_t_rate[s]
            if q > 0.0:
                long_mv += value
            else:
                short_mv += value
            if value > largest:
                largest = value
                largest_at = k
            for lane in range(lanes):
                net[lane] += q * price[s, lane]
                gross[lane] += size * price[s, lane]
        for k in range(first, last):
            s = symbol[k]
            is_long = quantity[k] > 0.0
            boxed = _boxed_shares(k, first, last, symbol, quantity)
            free = abs(quantity[k]) - boxed
            for lane in range(lanes):
                p = price[s, lane]
                value = free * p
                share_base = long_base[s, lane] if is_long else short_base[s, lane]
                b = free * share_base
                if boxed > 0.0 and is_long:
                    b += box_rate * boxed * p
                v = free * volatility[s, lane]
                h = 0.0 if is_long else htb[s] * value
                c = 0.0
                if use_conc and gross[lane] > 0.0:
                    held = value
                    if boxed > 0.0 or issuer_shared[issuer[s]]:
                        held = _issuer_value(k, first, last, symbol, quantity, issuer, price, lane)
                    if held > threshold * gross[lane]:
                        c = value * concentration_rate(held / gross[lane], threshold, addon, ramp)
                total = b + v + h + c
                limit = abs(quantity[k]) * p
                over = total - limit if cap_long and is_long and total > limit else 0.0
                need[lane] += total - over
                if lane == 0:
                    base += b
                    vol += v
                    borrow += h
                    conc += c
                    cap -= over
                    if len(position_req) > 0:
                        position_req[k] = total - over
        equity = cash[account] + net[0]
        tims = tims_requirement(first, last, 0, symbol, quantity, price, scan_up, scan_down, minimum, klass, product,
                                portfolio, product_offset, portfolio_offset, group_req)
        by_tims = margin_type[account] == PORTFOLIO and round_cents(equity) >= pm_minimum
        requirement = tims if by_tims else need[0]
        worst = math.inf
        for lane in range(1, lanes):
            delta = net[lane] - net[0]
            worst = min(worst, equity + delta - requirement)
            if len(pnl) > 0:
                pnl[r, lane - 1] = delta
                held_to = need[lane]
                if by_tims:
                    held_to = tims_requirement(first, last, lane, symbol, quantity, price, scan_up, scan_down, minimum, klass,
                                               product, portfolio, product_offset, portfolio_offset, no_groups)
                recomputed[r, lane - 1] = equity + delta - held_to
        known = not math.isnan(equity)
        figures[EQUITY, r] = equity
        figures[LONG_MV, r] = long_mv if known else math.nan
        figures[SHORT_MV, r] = short_mv if known else math.nan
        figures[BASE, r] = base
        figures[CONCENTRATION, r] = conc if known else math.nan
        figures[VOLATILITY, r] = vol
        figures[HTB, r] = borrow if known else math.nan
        figures[CAP, r] = cap if known else math.nan
        figures[REG_T_REQUIREMENT, r] = reg_t
        figures[PORTFOLIO_REQ, r] = tims if known else math.nan
        figures[REQUIREMENT, r] = requirement if known else math.nan
        figures[BETA_EXPOSURE, r] = exposure
        figures[WORST_STRESS, r] = worst if known and scenarios > 0 else math.nan
        figures[IDIOSYNCRATIC, r] = -idio_shock * largest if known else math.nan
        idio_position[r] = largest_at
        if not known or is_stale:
            status[r] = STALE
        else:
            status[r] = _status(equity - requirement, long_mv + short_mv, warn_frac)
