"""Price histories as files: CSV or Parquet, long (`timestamp,symbol,price`) or wide (one column a symbol), read strictly.

Every flaw is named by row and column with its value. A flaw ends the run unless the policy's backtest section says how
to go on. Dates without a time are the session's close, 16:00 New York; times without a zone are New York's.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.backtest.flaws import Flaw, HistoryError
from margin_platform.book import Floats

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
SAMPLE = "skfolio sample: 20 S&P 500 names and the index, 1990-2022"
_CLOSE = dt.time(16)
_TIME_NAMES = ("timestamp", "date", "time", "datetime")
_FIRST_ROW = 2   # of a CSV's data, as an editor counts lines


@dataclass(frozen=True)
class PriceHistory:
    """Bars in time order.

    times: (bars,) epoch milliseconds; prices: (bars, symbols) dollars a share, NaN where missing; stale: (bars, symbols) a
    price carried over a flaw; rows: (bars,) row of the file each bar came from (wide) or first appeared in (long);
    adjusted: levels are adjusted for splits and dividends, so per-share dollar floors do not apply; source: for people.
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
        """The New York date of every bar."""
        return [dt.datetime.fromtimestamp(t / 1000, NEW_YORK).date() for t in self.times.tolist()]

    def between(self, first: dt.date | None, last: dt.date | None) -> slice:
        """The bars of two dates, both included, as a slice."""
        low = 0 if first is None else int(np.searchsorted(self.times, _at(first, dt.time(0))))
        high = len(self) if last is None else int(np.searchsorted(self.times, _at(last + dt.timedelta(days=1), dt.time(0))))
        return slice(low, high)

    def cut(self, part: slice) -> PriceHistory:
        """The same history over some bars only."""
        return replace(self, times=self.times[part], prices=self.prices[part], stale=self.stale[part], rows=self.rows[part])


def _at(day: dt.date, time: dt.time) -> int:
    return int(dt.datetime.combine(day, time, NEW_YORK).timestamp() * 1000)


def of_table(table: pd.DataFrame, *, adjusted: bool, source: str) -> PriceHistory:
    """A history from a frame of closes with session dates as index and symbols as columns; NaN is missing."""
    times = np.array([_at(day.date(), _CLOSE) for day in table.index], dtype=np.int64)
    prices = table.to_numpy(np.float64)
    rows = np.arange(len(table), dtype=np.int64) + _FIRST_ROW
    return PriceHistory(times, tuple(str(c) for c in table.columns), prices, np.zeros(prices.shape, bool), rows, adjusted, source)


def read(path: Path) -> tuple[PriceHistory, list[Flaw]]:
    """A file's history and what is wrong with single cells and rows. HistoryError where no table can be made of it."""
    table = _table(path)
    if table.empty:
        raise HistoryError([Flaw("empty", "row 2", str(path.name), None, "no rows")])
    names = {str(c).strip().lower(): c for c in table.columns}
    time_name = next((names[n] for n in _TIME_NAMES if n in names), None)
    if time_name is None:
        raise HistoryError([Flaw("columns", "row 1", "timestamp", ",".join(map(str, table.columns)), "no timestamp or date column")])
    flaws: list[Flaw] = []
    times = _times(table[time_name], str(time_name), flaws)
    if "symbol" in names and "price" in names:
        history = _long(times, table[names["symbol"]], table[names["price"]], flaws)
    else:
        history = _wide(times, table.drop(columns=[time_name]), flaws)
    return replace(history, source=path.name), flaws


def _table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
            named = any(str(c).lower() in _TIME_NAMES for c in table.columns)
            return table if named else table.rename_axis("timestamp").reset_index()
        return pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True)
    except OSError as error:
        raise HistoryError([Flaw("unreadable", "-", path.name, None, error.strerror or str(error))]) from error
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise HistoryError([Flaw("unreadable", "-", path.name, None, str(error))]) from error


def _times(column: pd.Series, name: str, flaws: list[Flaw]) -> NDArray[np.int64]:
    """Epoch milliseconds of each row; 0 where the row has none (and is set aside)."""
    known: dict[Any, int] = {}
    out = np.zeros(len(column), dtype=np.int64)
    for row, value in enumerate(column.tolist()):
        if value not in known:
            known[value] = _time(value)
        out[row] = known[value]
        if not out[row]:
            flaws.append(Flaw("bad_price", f"row {row + _FIRST_ROW}", name, value, "not a date or time"))
    return out


def _time(value: Any) -> int:
    if isinstance(value, int | np.integer) or (isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) > 8):
        return int(value)
    if isinstance(value, dt.datetime):
        moment: dt.datetime | dt.date = value if value.time() != dt.time(0) or value.tzinfo else value.date()
    elif isinstance(value, dt.date):
        moment = value
    else:
        try:
            text = str(value).strip()
            moment = dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
        except ValueError:
            return 0
    if not isinstance(moment, dt.datetime):
        return _at(moment, _CLOSE)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)
    return int(aware.timestamp() * 1000)


def _numbers(column: pd.Series) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Values, whether the cell is blank, and whether it holds something that is no usable price."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    blank = column.isna().to_numpy() | (column.astype(str).str.strip() == "").to_numpy()
    bad = ~blank & ~(np.isfinite(values) & (values > 0))
    return np.where(bad, np.nan, values), blank, bad


def _price_reason(value: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "not a number"
    return "zero" if number == 0 else "negative" if number < 0 else "not a finite number"


def _wide(times: NDArray[np.int64], table: pd.DataFrame, flaws: list[Flaw]) -> PriceHistory:
    prices = np.empty(table.shape)
    for n, name in enumerate(table.columns):
        prices[:, n], blank, bad = _numbers(table[name])
        for row in np.flatnonzero(bad):
            value = table[name].iloc[row]
            flaws.append(Flaw("bad_price", f"row {row + _FIRST_ROW}", str(name), value, _price_reason(value), int(times[row])))
        flaws += [Flaw("hole", f"row {r + _FIRST_ROW}", str(name), None, "no price", int(times[r])) for r in np.flatnonzero(blank)]
    rows = np.arange(len(table), dtype=np.int64) + _FIRST_ROW
    order = np.argsort(times, kind="stable")
    order = order[times[order] > 0]
    last = np.append(times[order][1:] != times[order][:-1], True)
    seen: dict[int, int] = {}
    for row in order:
        if times[row] in seen:
            flaws.append(Flaw("duplicate", f"row {rows[row]}", "timestamp", _stamp(times[row]), f"already in row {seen[times[row]]}",
                              int(times[row])))
        seen.setdefault(times[row], int(rows[row]))
    order = order[last]
    symbols = tuple(str(c).strip() for c in table.columns)
    return PriceHistory(times[order], symbols, prices[order], np.zeros(prices[order].shape, bool), rows[order])


def _long(times: NDArray[np.int64], symbols: pd.Series, column: pd.Series, flaws: list[Flaw]) -> PriceHistory:
    values, blank, bad = _numbers(column)
    for row in np.flatnonzero(bad):
        value = column.iloc[row]
        flaws.append(Flaw("bad_price", f"row {row + _FIRST_ROW}", "price", value, _price_reason(value), int(times[row])))
    flaws += [Flaw("hole", f"row {r + _FIRST_ROW}", "price", None, "no price", int(times[r])) for r in np.flatnonzero(blank)]
    codes, names = pd.factorize(symbols.astype(str).str.strip())
    flaws += [Flaw("bad_price", f"row {r + _FIRST_ROW}", "symbol", None, "no symbol") for r in np.flatnonzero(names[codes] == "")]
    usable = (times > 0) & (names[codes] != "")
    bars, first_row, at = np.unique(times[usable], return_index=True, return_inverse=True)
    where = np.flatnonzero(usable)
    prices = np.full((len(bars), len(names)), np.nan)
    held = np.zeros(prices.shape, dtype=np.int64)
    for row, bar in zip(where, at, strict=True):
        code = codes[row]
        if held[bar, code]:
            flaws.append(Flaw("duplicate", f"row {row + _FIRST_ROW}", "timestamp", f"{_stamp(times[row])} {names[code]}",
                              f"already in row {held[bar, code]}", int(times[row])))
        held[bar, code] = row + _FIRST_ROW
        prices[bar, code] = values[row]
    rows = where[first_row] + _FIRST_ROW
    for bar, code in np.argwhere(held == 0):
        flaws.append(Flaw("hole", f"after row {rows[bar]}", str(names[code]), None, f"no row for {_stamp(bars[bar])}",
                          int(bars[bar])))
    keep = [n for n, name in enumerate(names) if name != ""]
    return PriceHistory(bars, tuple(str(names[n]) for n in keep), prices[:, keep], np.zeros((len(bars), len(keep)), bool), rows)


def _stamp(time: int) -> str:
    moment = dt.datetime.fromtimestamp(int(time) / 1000, NEW_YORK)
    return moment.date().isoformat() if moment.time() == _CLOSE else moment.isoformat()
