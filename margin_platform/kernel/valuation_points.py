"""Portfolio margin beside the rules: the ten valuation points of TIMS, and the house's uniform grid (which is
not TIMS).

The requirement itself is computed by the kernel (`tims.tims_requirement`): for stock, P&L is linear along the
range, so the outermost points decide. This module spells out the ten points for people and charts. FINRA
4210(g).
"""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.instrument_rules import schedule_of
from margin_platform.kernel.market import Floats, Market
from margin_platform.policy.policy import Policy

POINTS_EACH_WAY = 5
POINTS = tuple(step / POINTS_EACH_WAY for step in range(-POINTS_EACH_WAY, POINTS_EACH_WAY + 1) if step)


def valuation_points(book: Book, market: Market, policy: Policy, account: int) -> dict[str, Floats]:
    """Return P&L in dollars of each class group of an account at the ten equidistant points, from the full
    fall to the full rise.
    """
    schedule = schedule_of(market, policy)
    found: dict[str, Floats] = {}
    steps = np.array(POINTS)
    for k in range(int(book.offsets[account]), int(book.offsets[account + 1])):
        code = int(book.symbol[k])
        value = book.quantity[k] * market.price[code]
        moves = np.where(steps > 0, steps * schedule.scan_up[code], steps * schedule.scan_down[code])
        name = market.class_groups[market.class_group[code]]
        found[name] = found.get(name, np.zeros(len(steps))) + value * moves
    return found


def house_grid_pnl(net_mv: Floats, policy: Policy) -> Floats:
    """Return P&L by move of the house's named scenario, the uniform grid, (accounts, moves), dollars: every
    position moved alike.

    All names net in full: it credits a short in one stock against a long in another, which 4210(g) does not.
    A teaching figure: never TIMS, never a requirement.
    """
    pnl: Floats = net_mv[:, None] * np.array(policy.portfolio_margin.house_grid)[None, :]
    return pnl


def house_grid_loss(net_mv: Floats, policy: Policy) -> Floats:
    """Return the worst loss of the uniform grid, dollars, not below zero, (accounts,)."""
    loss: Floats = np.maximum(0.0, -house_grid_pnl(net_mv, policy).min(axis=1))
    return loss
