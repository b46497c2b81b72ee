"""What a run writes down as it goes: one row a decision, a bar and a liquidation fill.

Everything in a report comes from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk
from margin_platform.money import CENTS_PER_DOLLAR, whole_cents
from margin_platform.snapshots.bands import LEVEL_BITS, BandFlag, Codes, Level


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
_UNSECURED = BAR_COLUMNS.index("unsecured")
_ACCOUNTS = BAR_COLUMNS[_UNSECURED + 1 :]


@inlined
def _cents(amount: float) -> int:
    """Return dollars as whole cents; 0 of an unknown amount."""
    return int(whole_cents(amount)) if amount == amount else 0


@inlined
def _total(column: Floats) -> int:
    """Add up a column, each account in whole cents."""
    total = 0
    for r in range(len(column)):
        total += _cents(column[r])
    return total


def _entry(figures: tuple[Floats, ...], codes: Codes, totals: NDArray[np.int64]) -> None:
    """Write the totals of a bar, as `BAR_COLUMNS` names them: cents, then accounts by band.

    figures: equity, requirement, long and short value, base requirement, concentration and volatility
    add-ons, in dollars. An account whose figures are not known (NaN) adds nothing.
    """
    equity, requirement, long_mv, short_mv, base, concentration, volatility = figures
    totals[0] = _total(equity)
    totals[1] = _total(requirement)
    totals[2] = _total(long_mv) + _total(short_mv)
    totals[3] = _total(base)
    totals[4] = _total(concentration)
    totals[5] = _total(volatility)
    for r in range(len(equity)):
        totals[6] += _cents(max(0.0, -equity[r]))
    for r in range(len(codes)):
        level = codes[r] & LEVEL_BITS
        totals[7] += 1 if level == Level.MARGIN_CALL.value else 0
        totals[8] += 1 if level == Level.WARNING.value else 0
        totals[9] += 1 if codes[r] & BandFlag.STRESS.value else 0
        totals[10] += 1 if codes[r] & BandFlag.STALE.value else 0


_add_up = kept_on_disk(_entry)


@dataclass
class Record:
    """The growing record of one run.

    `bars` has one row of BAR_COLUMNS a bar: whole cents or accounts. Integers add up to the same in any
    parts.
    """

    decisions: list[DecisionRow] = field(default_factory=list)
    fills: list[FillRow] = field(default_factory=list)
    bars: list[tuple[int, ...]] = field(default_factory=list)

    def bar(self, margin: Margin, codes: np.ndarray, written_off: int) -> None:
        """Record totals of one bar over the accounts still open; `written_off` is what closed accounts owe
        beyond their collateral, in cents.
        """
        figures = (
            margin.equity,
            margin.requirement,
            margin.long_mv,
            margin.short_mv,
            margin.base_requirement,
            margin.concentration_addon,
            margin.volatility_addon,
        )
        totals = np.zeros(len(BAR_COLUMNS), dtype=np.int64)
        _add_up(figures, codes, totals)
        totals[_UNSECURED] += written_off
        self.bars.append(tuple(totals.tolist()))

    def column(self, name: str) -> Floats:
        """Return one of BAR_COLUMNS by bar: dollars, or accounts."""
        column = np.array([bar[BAR_COLUMNS.index(name)] for bar in self.bars], dtype=np.float64)
        return column if name in _ACCOUNTS else column / CENTS_PER_DOLLAR

    def __getstate__(self) -> tuple[list[object], ...]:
        """Return plain tuples: each named one is pickled by a call of its own, and very many travel."""
        return [*map(tuple, self.decisions)], [*map(tuple, self.fills)], [*self.bars]

    def __setstate__(self, state: tuple[list[Any], ...]) -> None:
        decisions, fills, self.bars = state
        self.decisions, self.fills = [*map(DecisionRow._make, decisions)], [*map(FillRow._make, fills)]
