"""Account figures as they are published: whole cents that foot (MARGIN_RULES section 10).

The kernel's columns are exact. Here each figure is rounded once, and every sum or difference that a reader
can check is made of the rounded figures. Topics, documents, orders, notices and pages take their figures from
here, and decisions are taken on them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.events.figure_names import COMPONENTS
from margin_platform.kernel.apportionment import apportioned
from margin_platform.kernel.book import PORTFOLIO, Book
from margin_platform.kernel.exact import Exact
from margin_platform.money import cents

Floats = NDArray[np.float64]


class Published:
    """The figures of a margin in whole cents, by the same names and shapes.

    A column is worked out when asked for.
    """

    def __init__(self, margin: Exact) -> None:
        self._exact = margin

    # -- value: cash + total = equity, long + short = gross, long - short = total

    @cached_property
    def cash(self) -> Floats:
        """Signed cash balance: negative is a debit."""
        return cents(self._exact.equity - self._exact.total_mv)

    @cached_property
    def total_mv(self) -> Floats:
        """Net market value."""
        return cents(self._exact.total_mv)

    @cached_property
    def equity(self) -> Floats:
        """Cash and net market value."""
        return cents(self.cash + self.total_mv)

    @cached_property
    def short_mv(self) -> Floats:
        """Market value of the shorts, positive."""
        return cents(self._exact.short_mv)

    @cached_property
    def long_mv(self) -> Floats:
        """Market value of the longs."""
        return cents(self.total_mv + self.short_mv)

    @cached_property
    def gross_mv(self) -> Floats:
        """Long and short market value."""
        return cents(self.long_mv + self.short_mv)

    # -- requirements

    @cached_property
    def maintenance_req(self) -> Floats:
        """Requirement by the fixed-percentage rules."""
        return cents(self._exact.maintenance_req)

    @cached_property
    def _parts(self) -> Floats:
        exact = np.stack([getattr(self._exact, name) for name in COMPONENTS])
        return apportioned(exact, self.maintenance_req)

    @property
    def base_requirement(self) -> Floats:
        """The first of the parts that sum to maintenance."""
        return self._part("base_requirement")

    @property
    def concentration_addon(self) -> Floats:
        """The part of maintenance for concentration."""
        return self._part("concentration_addon")

    @property
    def volatility_addon(self) -> Floats:
        """The part of maintenance for volatility."""
        return self._part("volatility_addon")

    @property
    def htb_addon(self) -> Floats:
        """The part of maintenance for hard-to-borrow shares."""
        return self._part("htb_addon")

    @property
    def cap_adjustment(self) -> Floats:
        """What the cap takes off maintenance: negative."""
        return self._part("cap_adjustment")

    def _part(self, name: str) -> Floats:
        column: Floats = self._parts[COMPONENTS.index(name)]
        return column

    @cached_property
    def portfolio_margin_req(self) -> Floats:
        """Requirement by portfolio margin."""
        return cents(self._exact.portfolio_margin_req)

    @cached_property
    def requirement(self) -> Floats:
        """The requirement that the account is held to."""
        return cents(self._exact.requirement)

    @cached_property
    def reg_t_requirement(self) -> Floats:
        """Initial requirement by Regulation T."""
        return cents(self._exact.reg_t_requirement)

    # -- differences of published figures

    @cached_property
    def excess(self) -> Floats:
        """Equity less requirement; a deficiency where negative."""
        return cents(self.equity - self.requirement)

    @cached_property
    def excess_pct(self) -> Floats:
        """Excess as a fraction of gross market value; NaN without positions."""
        gross = self.gross_mv
        return np.divide(self.excess, gross, out=np.full_like(gross, np.nan), where=gross > 0)

    @cached_property
    def margin_savings(self) -> Floats:
        """Maintenance less portfolio margin."""
        return cents(self.maintenance_req - self.portfolio_margin_req)

    @cached_property
    def portfolio_method(self) -> NDArray[np.bool_]:
        """True where portfolio margin is the lower requirement (margin_method PORTFOLIO), applied or not."""
        return self.portfolio_margin_req < self.maintenance_req

    def portfolio_applied(self, book: Book) -> NDArray[np.bool_]:
        """Return True where the account is held to portfolio margin: of that type, with the minimum
        equity."""
        enough = self.equity >= self._exact.policy.portfolio_margin.pm_minimum_equity
        return np.asarray((book.margin_type[self._exact.accounts] == PORTFOLIO) & enough)

    @cached_property
    def reg_t_excess(self) -> Floats:
        """Equity less the Regulation T requirement."""
        return cents(self.equity - self.reg_t_requirement)

    @cached_property
    def buying_power(self) -> Floats:
        """The lesser of Reg T excess and excess, over the initial rate (4210(b)); 0 in a call."""
        lesser = np.minimum(self.reg_t_excess, self.excess)
        return np.maximum(0.0, cents(lesser / self._exact.policy.maintenance.reg_t))

    # -- risk

    @cached_property
    def beta_weighted_exposure(self) -> Floats:
        """Dollars of SPY that move like the account."""
        return cents(self._exact.beta_weighted_exposure)

    @cached_property
    def idiosyncratic_pnl(self) -> Floats:
        """P&L of the largest position moving against the account."""
        return cents(self._exact.idiosyncratic_pnl)

    @cached_property
    def stress_pnl(self) -> Floats:
        """P&L by SPY move, (accounts, scenarios)."""
        return cents(self._exact.stress_pnl)

    @cached_property
    def stress_equity(self) -> Floats:
        """Equity and stress P&L."""
        return cents(self.equity[:, None] + self.stress_pnl)

    @cached_property
    def stress_excess_held(self) -> Floats:
        """Excess and stress P&L: today's requirement held."""
        return cents(self.excess[:, None] + self.stress_pnl)

    @cached_property
    def worst_stress(self) -> Floats:
        """The lowest stressed excess; NaN without scenarios."""
        return cents(self.excess + cents(self._exact.worst_stress - self._exact.excess))

    @cached_property
    def stress_excess_recomputed(self) -> Floats:
        """Excess with the requirement computed again at the stressed prices."""
        return cents(self._exact.stress_excess_recomputed)

    @cached_property
    def unsecured(self) -> Floats:
        """What each account would owe beyond its collateral, (accounts, scenarios);
        zero where it cannot be valued.
        """
        return np.maximum(0.0, np.nan_to_num(-self.stress_equity, nan=0.0))
