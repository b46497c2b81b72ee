"""The kernel's figures as it computes them: columns of unrounded dollars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Floats
from margin_platform.money import cents
from margin_platform.policy.policy import Policy


@dataclass(frozen=True)
class Exact:
    """Margin figures as columns, one row per evaluated account, in dollars, not rounded.

    An account with a missing price has NaN figures and status STALE; one with a stale price has figures and
    status STALE. `stress_excess_recomputed` and the stress properties have shape (accounts, scenarios).
    `position_requirement` and `group_requirement` are (positions of the book,) when detail was asked for,
    else empty.
    """

    accounts: NDArray[np.int64]
    equity: Floats
    long_mv: Floats
    short_mv: Floats
    base_requirement: Floats
    concentration_addon: Floats
    volatility_addon: Floats
    htb_addon: Floats
    cap_adjustment: Floats
    reg_t_requirement: Floats
    portfolio_margin_req: Floats
    requirement: Floats
    beta_weighted_exposure: Floats
    worst_stress: Floats
    idiosyncratic_pnl: Floats
    status: NDArray[np.int8]
    largest_position: NDArray[np.int32]
    floored_pnl: Floats | None
    stress_excess_recomputed: Floats
    position_requirement: Floats
    group_requirement: Floats
    policy: Policy

    @property
    def gross_mv(self) -> Floats:
        return self.long_mv + self.short_mv

    @property
    def total_mv(self) -> Floats:
        """Net market value."""
        return self.long_mv - self.short_mv

    @property
    def maintenance_req(self) -> Floats:
        """Requirement by the fixed-percentage rules with add-ons:
        the sum of its components, cap line included.
        """
        return (
            self.base_requirement
            + self.concentration_addon
            + self.volatility_addon
            + self.htb_addon
            + self.cap_adjustment
        )

    @property
    def excess(self) -> Floats:
        """Equity less the requirement the account is held to; a deficiency where negative."""
        return self.equity - self.requirement

    def counted(self, excess: Floats) -> Floats:
        """Return an excess as it is acted on: a deficiency of no more than the policy's `small_deficiency`
        counts as zero.
        """
        floor = self.policy.ladder.small_deficiency
        if not floor:
            return excess
        published = cents(excess)
        return np.where((published < 0.0) & (published >= -floor), 0.0, excess)

    @property
    def margin_savings(self) -> Floats:
        """What portfolio margin saves against the fixed-percentage requirement;
        negative where it costs more.
        """
        return self.maintenance_req - self.portfolio_margin_req

    @property
    def reg_t_excess(self) -> Floats:
        return self.equity - self.reg_t_requirement

    @property
    def stress_pnl(self) -> Floats:
        """Client P&L by SPY move, (accounts, scenarios):
        exposure x move, except where a name's fall is floored at -100%.
        """
        if self.floored_pnl is not None:
            return self.floored_pnl
        pnl: Floats = self.beta_weighted_exposure[:, None] * np.array(self.policy.stress.scenarios)[None, :]
        return pnl
