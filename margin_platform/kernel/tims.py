"""TIMS netting of one account, compiled: FINRA 4210(g), classes within products within portfolio groups.

Stock P&L is linear along the scan range, so of the ten valuation points the outermost up and down decide, and only
those two are carried; the ten are spelled out in `valuation_points.valuation_points`.
"""

from __future__ import annotations

import numba


@numba.njit(nogil=True)
def _group_pnl(total, gains, members, offset):
    """P&L of a group at one point: losses in full, gains at the offset; a lone member passes through uncut (H03)."""
    if members <= 1:
        return total
    return (total - gains) + offset * gains


@numba.njit(nogil=True)
def tims_requirement(first, last, lane, symbol, quantity, price, up, down, minimum, klass, product, portfolio,
                     product_offset, portfolio_offset, group_out):
    """TIMS requirement in dollars of the positions first:last at a lane's prices.

    Positions are in group order; a product or portfolio group code of -1 stands alone. Where `group_out` has room, each
    outermost group's requirement is written at its last position.
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
        charge += minimum[s] * abs(quantity[k])
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
