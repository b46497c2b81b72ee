"""A price history: bars of prices by symbol, and what is known to be wrong with them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.backtest.history.flaws import Flaw
from margin_platform.kernel.market import Floats
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import close_ms

SAMPLE = "skfolio sample: 20 S&P 500 names and the index, 1990-2022"
FIRST_ROW = 2  # of a table's data: the names of its columns are row 1


@dataclass(frozen=True)
class PriceHistory:
    """Bars in time order.

    times: (bars,) epoch milliseconds; prices: (bars, symbols) dollars a share, NaN where missing; stale:
    (bars, symbols) a price carried over a flaw; rows: (bars,) row of the file each bar came from (wide) or
    first appeared in (long); adjusted: levels are adjusted for splits and dividends, so per-share dollar
    floors do not apply; source: for people.
    """

    times: NDArray[np.int64]
    symbols: tuple[str, ...]
    prices: Floats
    stale: NDArray[np.bool_]
    rows: NDArray[np.int64]
    adjusted: bool = False
    source: str = ""
    flaws: tuple[Flaw, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    def dates(self) -> list[dt.date]:
        """Return the New York date of every bar."""
        return [date_of(t) for t in self.times.tolist()]

    def between(self, first: dt.date | None, last: dt.date | None) -> slice:
        """Return the bars of two dates, both included, as a slice."""
        low = 0 if first is None else int(np.searchsorted(self.times, midnight(first)))
        high = (
            len(self)
            if last is None
            else int(np.searchsorted(self.times, midnight(last + dt.timedelta(days=1))))
        )
        return slice(low, high)

    def cut(self, part: slice | NDArray[np.bool_]) -> PriceHistory:
        """Return the same history over some bars only."""
        return replace(
            self,
            times=self.times[part],
            prices=self.prices[part],
            stale=self.stale[part],
            rows=self.rows[part],
        )


def midnight(day: dt.date) -> int:
    """Return the beginning of a day in New York, epoch milliseconds."""
    return int(dt.datetime.combine(day, dt.time(0), NEW_YORK).timestamp() * 1000)


def of_table(table: pd.DataFrame, *, adjusted: bool, source: str) -> PriceHistory:
    """Build a history from a frame of closes with session dates as index and symbols as columns; NaN is
    missing."""
    times = np.array([close_ms(day.date()) for day in table.index], dtype=np.int64)
    prices = table.to_numpy(np.float64)
    rows = np.arange(len(table), dtype=np.int64) + FIRST_ROW
    return PriceHistory(
        times,
        tuple(str(c) for c in table.columns),
        prices,
        np.zeros(prices.shape, bool),
        rows,
        adjusted,
        source,
    )
