"""The sample market: 20 S&P 500 names and the index, daily closes 1990-2022, from the `skfolio` package.

Closes are real and adjusted for splits and dividends, so early levels are far below the prices of their day:
rates apply to them, per-share dollar floors do not. The 20 names are survivors, chosen with hindsight. Three
index funds (SIM*) and every tick between two closes are synthetic and labeled so.
"""

from __future__ import annotations

import datetime as dt
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import close_ms

INDEX = "SPY"
_INDEX_POINTS_PER_SHARE = 10.0
_FUND_LAST = 100.0  # last close of each synthetic leveraged fund
_DOW_NAMES = ("AAPL", "CVX", "HD", "JNJ", "JPM", "KO", "MRK", "MSFT", "PG", "UNH", "WMT")
_TICK_NOISE = 0.004  # standard deviation of a day's synthetic wander around the straight path


def _packaged(name: str) -> pd.DataFrame:
    # Read the data file itself: importing skfolio.datasets takes seconds and loads a machine-learning stack.
    spec = importlib.util.find_spec("skfolio")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the sample history is in the skfolio package, which is not installed")
    path = Path(spec.origin).parent / "datasets" / "data" / name
    return pd.read_csv(path, index_col=0, parse_dates=True)


@functools.cache
def closes() -> pd.DataFrame:
    """Read daily closes in dollars a share, adjusted; index: session dates, columns: symbols (20 names, SPY,
    SIM*).
    """
    names = _packaged("sp500_dataset.csv.gz")
    index = _packaged("sp500_index.csv.gz").iloc[:, 0].reindex(names.index)
    table = names.copy()
    table[INDEX] = index / _INDEX_POINTS_PER_SHARE
    returns = index.pct_change().fillna(0.0)
    table["SIM2X"] = _fund(2.0 * returns)
    table["SIMINV"] = _fund(-returns)
    table["SIMDOW"] = names[list(_DOW_NAMES)].sum(axis=1) / 4.0
    return table.round(4)


def _fund(returns: pd.Series) -> pd.Series:
    level = (1.0 + returns).cumprod()
    fund: pd.Series = _FUND_LAST * level / level.iloc[-1]
    return fund


def sessions(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the sessions of the sample between two dates, both included."""
    index = closes().index
    return [day.date() for day in index[(index >= pd.Timestamp(first)) & (index <= pd.Timestamp(last))]]


def window(table: pd.DataFrame, last: dt.date, rows: int) -> pd.DataFrame:
    """Return the `rows` sessions up to and including a date."""
    return table.loc[: pd.Timestamp(last)].tail(rows)


def close_time(day: dt.date) -> int:
    """Return a session's close in epoch milliseconds, early closes included."""
    return close_ms(day)


def _open_time(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(9, 30), NEW_YORK).timestamp() * 1000)


Tick = tuple[int, str, float]  # event time in epoch milliseconds, symbol, dollars a share


def ticks(first: dt.date, last: dt.date, per_session: int, seed: int = 2020) -> Iterator[Tick]:
    """Yield ticks of every symbol between two dates in time order: closes real, the path between two closes
    synthetic.

    The path is a geometric Brownian bridge from one close to the next with one market-wide wander and one per
    name; the session's last tick is the close itself. The same seed gives the same ticks.
    """
    table = closes()
    for day in sessions(first, last):
        row = table.index.get_loc(pd.Timestamp(day))
        if not isinstance(row, int) or row == 0:
            raise ValueError(f"first: no close before {day.isoformat()} to start from")
        generator = np.random.default_rng([seed, day.toordinal()])
        paths = _bridge(
            table.iloc[row - 1].to_numpy(float), table.iloc[row].to_numpy(float), per_session, generator
        )
        times = np.linspace(_open_time(day), close_time(day), per_session).astype(np.int64)
        for step in range(per_session):
            for column, symbol in enumerate(table.columns):
                yield int(times[step]), symbol, float(paths[step, column])


def _bridge(start: np.ndarray, end: np.ndarray, steps: int, generator: np.random.Generator) -> np.ndarray:
    along = np.linspace(0.0, 1.0, steps + 1)[1:, None]
    scale = _TICK_NOISE / np.sqrt(steps)
    wander = np.cumsum(
        generator.normal(0, scale, (steps, 1)) + generator.normal(0, scale / 2, (steps, len(start))), axis=0
    )
    wander -= along * wander[-1]
    path: NDArray[np.float64] = np.exp((1 - along) * np.log(start) + along * np.log(end) + wander)
    return path.round(4)
