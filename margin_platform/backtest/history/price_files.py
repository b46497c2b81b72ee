"""Price histories as files: CSV or Parquet, long (`timestamp,symbol,price`) or wide (one column a symbol),
read strictly.

Every flaw is named by row and column with its value. A flaw ends the run unless the policy's backtest section
decides how to go on. Dates without a time are the session's close, early closes included; times without a
zone are New York's.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.backtest.history import bar_files, csv_cells
from margin_platform.backtest.history.file_times import moment_of, times_of
from margin_platform.backtest.history.flaws import NO_TIME, Flaw, HistoryError
from margin_platform.backtest.history.price_history import FIRST_ROW, PriceHistory
from margin_platform.contracts import bounds
from margin_platform.contracts.identity import refusal_of_id
from margin_platform.kernel.market import Floats
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import close_ms


def read(path: Path) -> tuple[PriceHistory, list[Flaw]]:
    """Read a file's history and what is wrong with single cells and rows.

    HistoryError where no table can be made of it.
    """
    table = _table(path)
    if table.empty:
        raise HistoryError([Flaw("empty", "row 2", str(path.name), None, "no rows")])
    table = bar_files.prices_of(table)
    names = {bar_files.word(c): c for c in table.columns}
    time_name = next((names[n] for n in bar_files.TIME_NAMES if n in names), None)
    if time_name is None:
        raise HistoryError(
            [
                Flaw(
                    "columns",
                    "row 1",
                    "timestamp",
                    ",".join(map(str, table.columns)),
                    "no timestamp or date column",
                )
            ]
        )
    flaws: list[Flaw] = []
    times = times_of(table[time_name], str(time_name), flaws)
    if "symbol" in names and "price" in names:
        history = _long(times, table[names["symbol"]], table[names["price"]], flaws)
    else:
        history = _wide(times, table.drop(columns=[time_name]), flaws)
    if not len(history):
        raise HistoryError(flaws)
    return replace(history, source=path.name), flaws


def _table(path: Path) -> pd.DataFrame:
    """Read the file's cells; the index is each row's number in it, as an editor counts lines: blank lines
    count and are left out.
    """
    try:
        table = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    except HistoryError:
        raise
    except OSError as error:
        raise HistoryError(
            [Flaw("unreadable", "-", path.name, None, error.strerror or str(error))]
        ) from error
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
    return table.set_axis(range(FIRST_ROW, len(table) + FIRST_ROW))


def _csv(path: Path) -> pd.DataFrame:
    cells = csv_cells.read(path)
    filled = cells[~(cells.isna() | (cells == "")).all(axis=1)]
    return (
        bar_files.one_header(filled, [moment_of(cell) is not None for cell in filled.iloc[:4, 0]])
        if len(filled)
        else filled
    )


def _numbers(column: pd.Series) -> tuple[Floats, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return values, whether the cell is blank, and whether it holds something that is no usable price."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    blank = column.isna().to_numpy() | (column.astype(str).str.strip() == "").to_numpy()
    real = np.isfinite(values) & (values >= bounds.PRICE.low) & (values <= bounds.PRICE.high)
    bad = ~blank & ~(real & ~np.isin(values, sorted(bounds.UNSET_PRICES)))
    return np.where(bad, np.nan, values), blank, bad


def _price_reason(value: str | float) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return csv_cells.refusal_of_text(value)
    if not np.isfinite(number):
        return "not a finite number"
    if number <= 0:
        return "zero" if number == 0 else "negative"
    if number in bounds.UNSET_PRICES:
        return "a mark for no price, not a price"
    return f"below {bounds.PRICE.low:g}" if number < bounds.PRICE.low else f"above {bounds.PRICE.high:g}"


def _refuse_names(names: list[tuple[str, str]]) -> None:
    """Raise HistoryError for symbols that look like others on a screen, each with its row."""
    flaws = [
        Flaw("symbol", row, "symbol", name, refusal)
        for row, name in names
        if (refusal := refusal_of_id(name))
    ]
    if flaws:
        raise HistoryError(flaws)


def _wide(times: NDArray[np.int64], table: pd.DataFrame, flaws: list[Flaw]) -> PriceHistory:
    prices, rows = np.empty(table.shape), table.index.to_numpy(np.int64)
    for n, name in enumerate(table.columns):
        column = str(name).strip()
        prices[:, n], blank, bad = _numbers(table[name])
        for at in np.flatnonzero(bad):
            value = table[name].iloc[at]
            flaws.append(
                Flaw("bad_price", f"row {rows[at]}", column, value, _price_reason(value), int(times[at]))
            )
        flaws += [
            Flaw("hole", f"row {rows[at]}", column, None, "no price", int(times[at]))
            for at in np.flatnonzero(blank)
        ]
    _refuse_names([("row 1", str(name).strip()) for name in table.columns])
    order = np.argsort(times, kind="stable")
    order = order[times[order] != NO_TIME]
    last = np.append(times[order][1:] != times[order][:-1], True)[: len(order)]
    seen: dict[int, int] = {}
    for at in order:
        if times[at] in seen:
            flaws.append(
                Flaw(
                    "duplicate",
                    f"row {rows[at]}",
                    "timestamp",
                    _stamp(times[at]),
                    f"already in row {seen[times[at]]}",
                    int(times[at]),
                )
            )
        seen.setdefault(times[at], int(rows[at]))
    order = order[last]
    symbols = tuple(str(c).strip() for c in table.columns)
    return PriceHistory(
        times[order], symbols, prices[order], np.zeros(prices[order].shape, bool), rows[order]
    )


def _long(times: NDArray[np.int64], symbols: pd.Series, column: pd.Series, flaws: list[Flaw]) -> PriceHistory:
    values, blank, bad = _numbers(column)
    row_of = column.index.to_numpy(np.int64)
    for at in np.flatnonzero(bad):
        value = column.iloc[at]
        flaws.append(
            Flaw("bad_price", f"row {row_of[at]}", "price", value, _price_reason(value), int(times[at]))
        )
    flaws += [
        Flaw("hole", f"row {row_of[at]}", "price", None, "no price", int(times[at]))
        for at in np.flatnonzero(blank)
    ]
    codes, names = pd.factorize(symbols.fillna("").astype(str).str.strip())
    flaws += [
        Flaw("bad_price", f"row {row_of[at]}", "symbol", None, "no symbol")
        for at in np.flatnonzero(names[codes] == "")
    ]
    odd = [(n, str(name)) for n, name in enumerate(names.tolist()) if name and refusal_of_id(str(name))]
    _refuse_names([(f"row {row_of[np.argmax(codes == n)]}", name) for n, name in odd])
    where = np.flatnonzero((times != NO_TIME) & (names[codes] != ""))
    bars, first, bar_of = np.unique(times[where], return_index=True, return_inverse=True)
    prices = np.full((len(bars), len(names)), np.nan)
    held = np.zeros(prices.shape, dtype=np.int64)
    for at, bar in zip(where, bar_of, strict=True):
        code = codes[at]
        if held[bar, code]:
            flaws.append(
                Flaw(
                    "duplicate",
                    f"row {row_of[at]}",
                    "timestamp",
                    f"{_stamp(times[at])} {names[code]}",
                    f"already in row {held[bar, code]}",
                    int(times[at]),
                )
            )
        held[bar, code] = row_of[at]
        prices[bar, code] = values[at]
    rows = row_of[where[first]]
    for bar, code in np.argwhere(held == 0):
        if names[code] != "":
            flaws.append(
                Flaw(
                    "hole",
                    f"after row {rows[bar]}",
                    str(names[code]),
                    None,
                    f"no row for {_stamp(bars[bar])}",
                    int(bars[bar]),
                )
            )
    keep = [n for n, name in enumerate(names) if name != ""]
    return PriceHistory(
        bars,
        tuple(str(names[n]) for n in keep),
        prices[:, keep],
        np.zeros((len(bars), len(keep)), bool),
        rows,
    )


def _stamp(time: int) -> str:
    moment = dt.datetime.fromtimestamp(int(time) / 1000, NEW_YORK)
    return moment.date().isoformat() if int(time) == close_ms(moment.date()) else moment.isoformat()
