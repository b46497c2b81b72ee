"""Price histories as files: CSV or Parquet, long (`timestamp,symbol,price`) or wide (one column a symbol), read strictly.

Every flaw is named by row and column with its value. A flaw ends the run unless the policy's backtest section says how
to go on. Dates without a time are the session's close, early closes included; times without a zone are New York's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.backtest.history import bar_files
from margin_platform.backtest.history.flaws import NO_TIME, Flaw, HistoryError
from margin_platform.kernel.market import Floats
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import close_ms, covered

SAMPLE = "skfolio sample: 20 S&P 500 names and the index, 1990-2022"
_FIRST_ROW = 2   # of a table's data: the names of its columns are row 1
_EPOCH_MILLISECONDS = range(100_000_000_000, 100_000_000_000_000)   # from 1973 on: what is less is seconds
_EPOCH_UNITS = (1, 1_000, 1_000_000)   # milliseconds; micro- and nanoseconds, which cannot be taken for them
_LONGEST_DUE = dt.timedelta(days=60)   # a call opened on the last bar falls due within


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
        return [date_of(t) for t in self.times.tolist()]

    def between(self, first: dt.date | None, last: dt.date | None) -> slice:
        """The bars of two dates, both included, as a slice."""
        low = 0 if first is None else int(np.searchsorted(self.times, _at(first, dt.time(0))))
        high = len(self) if last is None else int(np.searchsorted(self.times, _at(last + dt.timedelta(days=1), dt.time(0))))
        return slice(low, high)

    def cut(self, part: slice | NDArray[np.bool_]) -> PriceHistory:
        """The same history over some bars only."""
        return replace(self, times=self.times[part], prices=self.prices[part], stale=self.stale[part], rows=self.rows[part])


def _at(day: dt.date, time: dt.time) -> int:
    return int(dt.datetime.combine(day, time, NEW_YORK).timestamp() * 1000)


def of_table(table: pd.DataFrame, *, adjusted: bool, source: str) -> PriceHistory:
    """A history from a frame of closes with session dates as index and symbols as columns; NaN is missing."""
    times = np.array([close_ms(day.date()) for day in table.index], dtype=np.int64)
    prices = table.to_numpy(np.float64)
    rows = np.arange(len(table), dtype=np.int64) + _FIRST_ROW
    return PriceHistory(times, tuple(str(c) for c in table.columns), prices, np.zeros(prices.shape, bool), rows, adjusted, source)


def read(path: Path) -> tuple[PriceHistory, list[Flaw]]:
    """A file's history and what is wrong with single cells and rows. HistoryError where no table can be made of it."""
    table = _table(path)
    if table.empty:
        raise HistoryError([Flaw("empty", "row 2", str(path.name), None, "no rows")])
    table = bar_files.prices_of(table)
    names = {bar_files.word(c): c for c in table.columns}
    time_name = next((names[n] for n in bar_files.TIME_NAMES if n in names), None)
    if time_name is None:
        raise HistoryError([Flaw("columns", "row 1", "timestamp", ",".join(map(str, table.columns)), "no timestamp or date column")])
    flaws: list[Flaw] = []
    times = _times(table[time_name], str(time_name), flaws)
    if "symbol" in names and "price" in names:
        history = _long(times, table[names["symbol"]], table[names["price"]], flaws)
    else:
        history = _wide(times, table.drop(columns=[time_name]), flaws)
    if not len(history):
        raise HistoryError(flaws)
    return replace(history, source=path.name), flaws


def _table(path: Path) -> pd.DataFrame:
    """The file's cells; the index is each row's number in it, as an editor counts lines: blank lines count and are left out."""
    try:
        table = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    except OSError as error:
        raise HistoryError([Flaw("unreadable", "-", path.name, None, error.strerror or str(error))]) from error
    except (ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise HistoryError([Flaw("unreadable", "-", path.name, None, str(error).strip())]) from error
    names = [str(c).strip() for c in table.columns]
    if twice := [n for n in dict.fromkeys(names) if names.count(n) > 1]:
        raise HistoryError([Flaw("columns", "row 1", name, name, "a column given twice") for name in twice])
    return table


def _parquet(path: Path) -> pd.DataFrame:
    table = pd.read_parquet(path)
    table = table.set_axis(bar_files.flat(table.columns), axis=1)
    if not any(bar_files.word(c) in bar_files.TIME_NAMES for c in table.columns):
        named = [str(name or "timestamp") for name in table.index.names]
        table = table.rename_axis(named if len(named) > 1 else "timestamp").reset_index()
    return table.set_axis(range(_FIRST_ROW, len(table) + _FIRST_ROW))


def _csv(path: Path) -> pd.DataFrame:
    cells = pd.read_csv(path, dtype=str, keep_default_na=False, skipinitialspace=True, header=None, skip_blank_lines=False)
    cells = cells.set_axis(range(1, len(cells) + 1))
    filled = cells[~(cells.isna() | (cells == "")).all(axis=1)]
    return bar_files.one_header(filled, [_moment(cell) is not None for cell in filled.iloc[:4, 0]]) if len(filled) else filled


def _times(column: pd.Series, name: str, flaws: list[Flaw]) -> NDArray[np.int64]:
    """Epoch milliseconds of each row; NO_TIME where the row has none and is set aside.

    Where every time of a file is a midnight, they are dates: a file of days that was written with times.
    """
    codes, values = pd.factorize(column)   # a blank cell has code -1: the last of what follows
    moments = [*map(_moment, values), None]
    of_days = all(m is None or _date(m) is not None for m in moments)
    found = [_known_to_calendar(m, of_days) for m in moments]
    times = np.array([NO_TIME if isinstance(t, str) else t for t in found], dtype=np.int64)[codes]
    rows = column.index.to_numpy()
    for place in np.flatnonzero(times == NO_TIME):
        cell = column.iloc[place]
        flaws.append(Flaw("bad_price", f"row {rows[place]}", name, None if pd.isna(cell) else cell, str(found[codes[place]])))
    return times


def _moment(value: Any) -> dt.date | dt.datetime | None:
    if isinstance(value, dt.date):   # times are dates too
        return value
    text = str(value).strip()
    try:
        if text.isdecimal() and len(text) > 8:
            time = next((int(text) // unit for unit in _EPOCH_UNITS if int(text) // unit in _EPOCH_MILLISECONDS), None)
            return None if time is None else dt.datetime.fromtimestamp(time / 1000, dt.UTC)
        return dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _date(moment: dt.date | dt.datetime) -> dt.date | None:
    """The day that a date, or a midnight in its own zone or New York's, stands for; None of a time of day."""
    if not isinstance(moment, dt.datetime):
        return moment
    for local in (moment, moment.astimezone(NEW_YORK) if moment.tzinfo else moment):
        if local.time() == dt.time(0):
            return local.date()
    return None


def _known_to_calendar(moment: dt.date | dt.datetime | None, of_days: bool) -> int | str:
    """Epoch milliseconds of a moment, or why it has none. Calls fall due by the exchange's calendar, so it must reach beyond."""
    if moment is None:
        return "not a date or time (epoch times are in milliseconds)"
    day = _date(moment) if of_days else None
    if day is None and isinstance(moment, dt.datetime):
        time = int((moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)).timestamp() * 1000)
    else:
        time = close_ms(day or moment)
    first, last = covered(moment.date() if isinstance(moment, dt.datetime) else moment)
    if not _at(first, dt.time(0)) <= time <= _at(last - _LONGEST_DUE, dt.time(0)):
        return f"not between {first} and {last - _LONGEST_DUE}, which the exchange's calendar covers"
    return time


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
    prices, rows = np.empty(table.shape), table.index.to_numpy(np.int64)
    for n, name in enumerate(table.columns):
        column = str(name).strip()
        prices[:, n], blank, bad = _numbers(table[name])
        for at in np.flatnonzero(bad):
            value = table[name].iloc[at]
            flaws.append(Flaw("bad_price", f"row {rows[at]}", column, value, _price_reason(value), int(times[at])))
        flaws += [Flaw("hole", f"row {rows[at]}", column, None, "no price", int(times[at])) for at in np.flatnonzero(blank)]
    order = np.argsort(times, kind="stable")
    order = order[times[order] != NO_TIME]
    last = np.append(times[order][1:] != times[order][:-1], True)[: len(order)]
    seen: dict[int, int] = {}
    for at in order:
        if times[at] in seen:
            flaws.append(Flaw("duplicate", f"row {rows[at]}", "timestamp", _stamp(times[at]), f"already in row {seen[times[at]]}",
                              int(times[at])))
        seen.setdefault(times[at], int(rows[at]))
    order = order[last]
    symbols = tuple(str(c).strip() for c in table.columns)
    return PriceHistory(times[order], symbols, prices[order], np.zeros(prices[order].shape, bool), rows[order])


def _long(times: NDArray[np.int64], symbols: pd.Series, column: pd.Series, flaws: list[Flaw]) -> PriceHistory:
    values, blank, bad = _numbers(column)
    row_of = column.index.to_numpy(np.int64)
    for at in np.flatnonzero(bad):
        value = column.iloc[at]
        flaws.append(Flaw("bad_price", f"row {row_of[at]}", "price", value, _price_reason(value), int(times[at])))
    flaws += [Flaw("hole", f"row {row_of[at]}", "price", None, "no price", int(times[at])) for at in np.flatnonzero(blank)]
    codes, names = pd.factorize(symbols.fillna("").astype(str).str.strip())
    flaws += [Flaw("bad_price", f"row {row_of[at]}", "symbol", None, "no symbol") for at in np.flatnonzero(names[codes] == "")]
    where = np.flatnonzero((times != NO_TIME) & (names[codes] != ""))
    bars, first, bar_of = np.unique(times[where], return_index=True, return_inverse=True)
    prices = np.full((len(bars), len(names)), np.nan)
    held = np.zeros(prices.shape, dtype=np.int64)
    for at, bar in zip(where, bar_of, strict=True):
        code = codes[at]
        if held[bar, code]:
            flaws.append(Flaw("duplicate", f"row {row_of[at]}", "timestamp", f"{_stamp(times[at])} {names[code]}",
                              f"already in row {held[bar, code]}", int(times[at])))
        held[bar, code] = row_of[at]
        prices[bar, code] = values[at]
    rows = row_of[where[first]]
    for bar, code in np.argwhere(held == 0):
        if names[code] != "":
            flaws.append(Flaw("hole", f"after row {rows[bar]}", str(names[code]), None, f"no row for {_stamp(bars[bar])}", int(bars[bar])))
    keep = [n for n, name in enumerate(names) if name != ""]
    return PriceHistory(bars, tuple(str(names[n]) for n in keep), prices[:, keep], np.zeros((len(bars), len(keep)), bool), rows)


def _stamp(time: int) -> str:
    moment = dt.datetime.fromtimestamp(int(time) / 1000, NEW_YORK)
    return moment.date().isoformat() if int(time) == close_ms(moment.date()) else moment.isoformat()
