"""What each position of an account at least carries of its requirement: the proof that lets a search pass
over quantities (MARGIN_RULES 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import REG_T
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Codes, Floats
from margin_platform.kernel.priced_market import PricedMarket

_NEAR_MINIMUM = 1.0  # dollars from portfolio margin's minimum equity: the cents of a trade may cross it


class Bench(Protocol):
    """An account whose trades are searched, as `workbench` has it."""

    codes: Codes
    margin_type: np.int8
    priced: PricedMarket

    @property
    def costs(self) -> float:
        """Return the share of the price that a trade loses."""

    def margin_now(self, *, concentrated: bool = True) -> Margin:
        """Return the figures as the account stands."""


@dataclass(frozen=True)
class Carried:
    """Dollars of requirement, never more than is charged.

    total: of the whole account. by_position: what trading a position may take off it at most. alone: whether
    each share of the position carries an even part of that.
    """

    total: float
    by_position: Floats
    alone: NDArray[np.bool_]


def carried(bench: Bench, equity: float) -> Carried | None:
    """Return what positions carry at an equity (dollars) that trades at the mark do not raise; None where
    they may change the rules the account is held to.

    At fixed percentages that is the requirement without concentration. At portfolio margin it is that of the
    position's group: groups do not net with each other, and in a group of one the dollars are even by share.
    """
    minimum = bench.priced.policy.portfolio_margin.pm_minimum_equity
    if bench.margin_type == REG_T or equity < minimum - _NEAR_MINIMUM:
        plain = bench.margin_now(concentrated=False).position_requirement
        return Carried(float(plain.sum()), plain, np.ones(len(plain), dtype=bool))
    if equity < minimum + _NEAR_MINIMUM or bench.costs > 0:
        return None
    due = bench.margin_now().group_requirement
    group = np.concatenate([[0], np.cumsum(~_joined(bench))[:-1]]).astype(int)
    by_group = np.bincount(group, weights=due)
    return Carried(float(due.sum()), by_group[group], (np.bincount(group) == 1)[group])


def _joined(bench: Bench) -> NDArray[np.bool_]:
    """Report for each position whether the next one is of the same group, as the kernel groups them."""
    groups, codes = bench.priced.groups, bench.codes
    joined = np.zeros(len(codes), dtype=bool)
    for kind in (groups.class_group, groups.product_group, groups.portfolio_group):
        held = kind[codes]
        joined[:-1] |= (held[:-1] >= 0) & (held[:-1] == held[1:])
    return joined
