"""What a finished run leaves for its report: inputs, record and the equity at the end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.backtest.engine.record import Record
from margin_platform.backtest.history.flaws import Flaw
from margin_platform.kernel.book import Book
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import NEW_YORK


@dataclass(frozen=True)
class RunResult:
    """One finished run: its label (the policy's version), inputs and record, and each account's equity at
    the end in dollars.
    """

    label: str
    policy: Policy
    path: MarketPath
    book: Book
    record: Record
    final_equity: np.ndarray
    flaws: tuple[Flaw, ...] = ()

    def day(self, bar: int) -> str:
        return day_of(int(self.path.times[bar]))


def day_of(time: int) -> str:
    """Return the New York date of an event time in epoch milliseconds."""
    return dt.datetime.fromtimestamp(time / 1000, NEW_YORK).date().isoformat()
