"""Bars as vendors write them: the columns of a file that are prices, and the symbol of each.

The close of a bar is its price. A file that does not name its symbol, or has no close, is refused with the
columns found and what to rename: a column of lows is never taken for the prices of a symbol LOW.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from margin_platform.backtest.history.flaws import Flaw, HistoryError

TIME_NAMES = ("timestamp", "date", "time", "datetime", "window start", "t")
_SYMBOL_NAMES = ("symbol", "ticker", "name", "s")
_CLOSE_NAMES = ("close", "close/last", "c")
_ALSO_SYMBOLS = {"open", "low", "high", "last"}  # of a bar, and symbols that are listed or could be
_LETTERS = {"o", "h", "l", "c"}  # of a bar where they are small and all there
_NO_SYMBOLS = {
    "close",
    "close/last",
    "adj close",
    "adjclose",
    "adjusted close",
    "volume",
    "adj volume",
    "adj open",
    "adj high",
    "adj low",
    "vwap",
    "price",
    "dividends",
    "stock splits",
    "capital gains",
    "trade count",
    "transactions",
    "openint",
    "open interest",
    "change %",
    "vol",
}
_JOINT = re.compile(r"[._ /:-]+")
_MOST_HEADERS = 3  # rows: what is priced, whose, and the index's name


def word(name: object) -> str:
    """Return a column's name as vendors mean it:
    `<CLOSE>`, `adj_close` and `Adj Close` are written in many ways.
    """
    return " ".join(str(name).strip().strip("<>").lower().replace("_", " ").split())


def one_header(cells: pd.DataFrame, is_time: Sequence[bool]) -> pd.DataFrame:
    """Return a table of a CSV file's cells with its header rows made one;
    columns of several rows become `SYMBOL close`.

    is_time: whether each of the first rows begins with a time, as rows of data do.
    """
    count = next((n for n, found in enumerate(is_time[: _MOST_HEADERS + 1]) if found), 1)
    rows = [[str(cell).strip() for cell in row] for row in cells.iloc[:count].to_numpy().tolist()]
    indexes = [row for row in rows[1:] if word(row[0]) in TIME_NAMES and not any(row[1:])]
    levels = [row for row in rows if row not in indexes]
    names = _joined(levels) if len(levels) > 1 or indexes else None
    if names is None:
        return cells.iloc[1:].set_axis(cells.iloc[0], axis=1)
    return cells.iloc[len(rows) :].set_axis([indexes[0][0] if indexes else "timestamp", *names], axis=1)


def _joined(levels: list[list[str]]) -> list[str] | None:
    """Return the names of all columns but the first from one or two rows;
    None where the rows are no header.
    """
    if len(levels) == 1:
        return levels[0][1:]
    if len(levels) != 2:
        return None
    for fields, symbols in (levels, levels[::-1]):
        carried = pd.Series(fields[1:]).replace("", None).ffill().fillna("").tolist()
        if all(_is_field(name) for name in carried) and all(symbols[1:]):
            return [f"{symbol} {word(field)}" for field, symbol in zip(carried, symbols[1:], strict=True)]
    return None


def flat(columns: pd.Index) -> list[str]:
    """Return the names of columns of one level or two."""
    if columns.nlevels == 1:
        return [str(c).strip() for c in columns]
    levels = [["", *(str(name[level]).strip() for name in columns)] for level in range(columns.nlevels)]
    return _joined(levels) or [" ".join(str(part) for part in name).strip() for name in columns]


def prices_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with its time and prices only: long (`symbol`, `price`), or wide, a column a symbol.

    HistoryError where bars do not name their symbol, or have no close.
    """
    table = _with_one_time(table)
    names = [str(c) for c in table.columns]
    words = [word(name) for name in names]
    own = next((n for n, each in enumerate(words) if each in _SYMBOL_NAMES), None)
    if own is not None and (words[own] in ("symbol", "ticker") or _are_bars(names)):
        return _long(table, names, own)
    unnamed = next((n for n, each in enumerate(words, start=1) if _is_unnamed(each)), None)
    if unnamed is not None:
        raise _refused(
            names, f"column {unnamed} has no name: name it for its symbol, or leave it out, as row numbers"
        )
    pairs = [_field_and_symbol(name) for name in names]
    if sum(field != "" for field, _ in pairs) > 1:
        closes = [n for n, (field, _) in enumerate(pairs) if field in _CLOSE_NAMES]
        if not closes:
            raise _refused(names, "bars without a close: name the column to read '<symbol> close'")
        times = [n for n, each in enumerate(words) if each in TIME_NAMES]
        return table.iloc[:, times + closes].set_axis(
            [names[n] for n in times] + [pairs[n][1] for n in closes], axis=1
        )
    if _are_bars(names):
        close = next((name for name in names if word(name) in _CLOSE_NAMES), None)
        one = "the prices" if close is None else close
        raise _refused(
            names,
            (
                f"bars of an unnamed symbol: add a column symbol, or keep only the times and {one}, renamed "
                "to the symbol"
            ),
        )
    return table


def _long(table: pd.DataFrame, names: list[str], own: int) -> pd.DataFrame:
    words = [word(name) for name in names]
    priced = [n for wanted in ("price", *_CLOSE_NAMES) for n, each in enumerate(words) if each == wanted]
    if not priced:
        raise _refused(names, "no price or close column: rename the column to read to price")
    if len(priced) > 1:
        both = " and ".join(names[n] for n in priced)
        raise _refused(names, f"{both} are each a price: keep the column to read")
    times = [n for n, each in enumerate(words) if each in TIME_NAMES]
    return table.iloc[:, [*times, own, priced[0]]].set_axis(
        [*(names[n] for n in times), "symbol", "price"], axis=1
    )


def _with_one_time(table: pd.DataFrame) -> pd.DataFrame:
    """Join a date and a time of day that stand in two columns, and name a first column that has no name."""
    words = [word(name) for name in table.columns]
    if _is_unnamed(words[0]) and not set(words) & set(TIME_NAMES):
        return table.set_axis(["timestamp", *table.columns[1:]], axis=1)
    if "date" in words and "time" in words:
        date, time = words.index("date"), words.index("time")
        both = table.iloc[:, date].astype(str).str.strip() + "T" + table.iloc[:, time].astype(str).str.strip()
        rest = [n for n in range(len(words)) if n not in (date, time)]
        return pd.concat([both.rename("timestamp"), table.iloc[:, rest]], axis=1)
    return table


def _are_bars(names: Iterable[str]) -> bool:
    """Report whether columns are the parts of bars: some name no symbol can have, or parts of a bar as no
    vendor writes symbols.
    """
    priced = [name for name in names if word(name) not in (*TIME_NAMES, *_SYMBOL_NAMES)]
    found = {word(name) for name in priced}
    if found & _NO_SYMBOLS or {"high", "low"} <= found or set(names) >= _LETTERS:
        return True
    return bool(found) and found <= _ALSO_SYMBOLS and not all(name.isupper() for name in priced)


def _is_unnamed(written: str) -> bool:
    """Report whether a column has no name, or the one that pandas gives it then."""
    return not written or re.fullmatch(r"unnamed: \d+", written) is not None


def _is_field(name: str) -> bool:
    return word(name) in _NO_SYMBOLS | _ALSO_SYMBOLS


def _field_and_symbol(name: str) -> tuple[str, str]:
    """Return what a column like `AAPL.Close`, `close_AAPL` or `BRK-B adj close` holds, and whose;
    no field where it is none.
    """
    parts = [part for part in _JOINT.split(name) if part]
    for size in (2, 1):  # words of the field
        last, first = " ".join(parts[-size:]), " ".join(parts[:size])
        for field, rest in ((last, name[: -len(last)]), (first, name[len(first) :])):
            if len(parts) > size and _is_field(field):
                return word(field), rest.strip("._ /:-")
    return "", name


def _refused(names: list[str], reason: str) -> HistoryError:
    return HistoryError(
        [Flaw("columns", "row 1", "symbol", None, f"{reason}; the file has {', '.join(names)}")]
    )


def unheard(symbol: str, known: Sequence[str]) -> str:
    """Describe what a file has instead of a symbol: one written otherwise, or all of them."""
    same = [name for name in known if _letters(name) in (_letters(symbol), _letters(symbol) + "US")]
    if same:
        return f"did you mean {same[0]}? Rename it in the file or in the book"
    shown = ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
    return f"it has {shown or 'none'}"


def _letters(symbol: str) -> str:
    return _JOINT.sub("", symbol).upper()
