"""What a run writes down as it goes: one row a decision, a bar and a liquidation fill.

Everything in a report comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from margin_platform.kernel.evaluate import Margin
from margin_platform.snapshots.bands import BandFlag, Level, levels


class DecisionRow(NamedTuple):
    """One decision of the ladder. Money in dollars as it stood at the bar, NaN where a timer decided.

    worst_scenario: the SPY move that hurts most; symbol: what cost the account most at the bar of a call;
    suspicious: one of its prices was named as a flaw.
    """

    bar: int
    time: int
    account_id: str
    action: str
    deficiency: float
    equity: float
    requirement: float
    excess: float
    worst_scenario: float | None
    symbol: str
    suspicious: bool
    reason: str


class FillRow(NamedTuple):
    """One assumed fill of a liquidation order: signed shares, dollars a share after slippage."""

    bar: int
    time: int
    account_id: str
    symbol: str
    qty: float
    price: float


BAR_COLUMNS = (
    "equity",
    "requirement",
    "gross",
    "base",
    "concentration",
    "volatility",
    "unsecured",
    "called",
    "warned",
    "stressed",
    "stale",
)


@dataclass
class Record:
    """The growing record of one run.

    `bars` has one row of BAR_COLUMNS a bar, dollars (not rounded) or accounts.
    """

    decisions: list[DecisionRow] = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)
    bars: list[tuple[float, ...]] = field(default_factory=list)

    def bar(self, margin: Margin, codes: np.ndarray, writable: float) -> None:
        """Record totals of one bar over the accounts still open; `writable` is what closed accounts owe
        beyond their collateral.
        """
        figures = (
            margin.equity,
            margin.requirement,
            margin.gross_mv,
            margin.base_requirement,
            margin.concentration_addon,
            margin.volatility_addon,
            np.maximum(0.0, -margin.equity),
        )
        sums = [float(column.sum()) for column in figures]
        if np.isnan(sums[0]):
            sums = [float(np.nansum(column)) for column in figures]
        *totals, unsecured = sums
        at = np.bincount(levels(codes), minlength=len(Level))
        flagged = (np.count_nonzero(codes & flag) for flag in (BandFlag.STRESS.value, BandFlag.STALE.value))
        counts = (at[Level.MARGIN_CALL], at[Level.WARNING], *flagged)
        self.bars.append((*totals, unsecured + writable, *(int(count) for count in counts)))

    def state(self) -> dict[str, object]:
        return {"decisions": list(self.decisions), "fills": list(self.fills), "bars": list(self.bars)}
