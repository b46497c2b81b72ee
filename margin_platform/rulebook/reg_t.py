"""Regulation T outside the maintenance sweep:
the day's call, short sale deposits, and the special memorandum account.
"""

from __future__ import annotations

from dataclasses import dataclass

from margin_platform.policy.sections import MaintenancePolicy


@dataclass(frozen=True)
class DayCall:
    """Reg T deficiency before and after a day's trades, in dollars,
    and the call they created (12 CFR 220.4(c)(1)).
    """

    before: float
    after: float
    call: float
    action_required: bool


def deficiency(long_mv: float, short_mv: float, equity: float, rules: MaintenancePolicy) -> float:
    """Return dollars by which equity falls short of the initial requirement on gross value; 0 where it does
    not."""
    return max(0.0, rules.reg_t * (long_mv + short_mv) - equity)


def day_call(before: float, after: float, rules: MaintenancePolicy) -> DayCall:
    """Return the call of a day: only what its transactions created or increased, both deficiencies at the
    same prices.

    A call of no more than `reg_t_de_minimis` need not be acted on (12 CFR 220.4(d)).
    """
    call = max(0.0, after - before)
    return DayCall(before, after, call, call > rules.reg_t_de_minimis)


@dataclass(frozen=True)
class ShortSale:
    """reg_t: deposit by Reg T (150% less the proceeds); deposit: that or $5 a share if more;
    credit_balance: proceeds plus deposit.
    """

    reg_t: float
    deposit: float
    credit_balance: float


def short_sale(shares: float, price: float, rules: MaintenancePolicy) -> ShortSale:
    """Return what a short sale of `shares` (positive) at a price needs at its start: 12 CFR 220.12(c), FINRA
    4210(c).
    """
    proceeds = shares * price
    initial = rules.reg_t * proceeds
    per_share = rules.short_min_per_share if price >= rules.low_price else rules.short_low_min
    deposit = max(initial, per_share * shares)
    return ShortSale(initial, deposit, proceeds + deposit)


@dataclass(frozen=True)
class SpecialMemorandumAccount:
    """A running credit line, neither cash nor equity (12 CFR 220.5): a price fall never lowers it."""

    balance: float

    def marked(self, equity: float, long_mv: float, rules: MaintenancePolicy) -> SpecialMemorandumAccount:
        """Return the SMA after a mark: raised to the Reg T excess where that is higher."""
        return SpecialMemorandumAccount(max(self.balance, equity - rules.reg_t * long_mv))

    def traded(self, bought: float, sold: float, rules: MaintenancePolicy) -> SpecialMemorandumAccount:
        """Return the SMA after purchases and sales of these dollar amounts."""
        return SpecialMemorandumAccount(self.balance + rules.reg_t * (sold - bought))

    def moved(self, cash: float) -> SpecialMemorandumAccount:
        """Return the SMA after a deposit or dividend (positive) or a withdrawal (negative)."""
        return SpecialMemorandumAccount(self.balance + cash)
