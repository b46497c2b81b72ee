"""Times of a price file: what a cell of the time column means, and whether the exchange's calendar reaches
it.

Dates without a time are the session's close, early closes included; times without a zone are New York's.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.backtest.history.flaws import NO_TIME, Flaw
from margin_platform.backtest.history.price_history import midnight
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import close_ms, covered

_EPOCH_MILLISECONDS = range(100_000_000_000, 100_000_000_000_000)  # from 1973 on: what is less is seconds
_EPOCH_UNITS = (1, 1_000, 1_000_000)  # milliseconds; micro- and nanoseconds, which cannot be taken for them
_LONGEST_DUE = dt.timedelta(days=60)  # a call opened on the last bar falls due within


def times_of(column: pd.Series, name: str, flaws: list[Flaw]) -> NDArray[np.int64]:
    """Return epoch milliseconds of each row; NO_TIME where the row has none and is set aside.

    Where every time of a file is a midnight, they are dates: a file of days that was written with times.
    """
    codes, values = pd.factorize(column)  # a blank cell has code -1: the last of what follows
    moments = [*map(moment_of, values), None]
    of_days = all(m is None or _date(m) is not None for m in moments)
    found = [_known_to_calendar(m, of_days) for m in moments]
    times = np.array([NO_TIME if isinstance(t, str) else t for t in found], dtype=np.int64)[codes]
    rows = column.index.to_numpy()
    for place in np.flatnonzero(times == NO_TIME):
        cell = column.iloc[place]
        flaws.append(
            Flaw(
                "bad_price",
                f"row {rows[place]}",
                name,
                None if pd.isna(cell) else cell,
                str(found[codes[place]]),
            )
        )
    return times


def moment_of(value: object) -> dt.date | dt.datetime | None:
    """Return the date or time that a cell holds, or None."""
    if isinstance(value, dt.date):  # times are dates too
        return value
    text = str(value).strip()
    try:
        if text.isdecimal() and len(text) > 8:
            time = next(
                (int(text) // unit for unit in _EPOCH_UNITS if int(text) // unit in _EPOCH_MILLISECONDS), None
            )
            return None if time is None else dt.datetime.fromtimestamp(time / 1000, dt.UTC)
        return dt.date.fromisoformat(text) if len(text) <= 10 else dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _date(moment: dt.date | dt.datetime) -> dt.date | None:
    """Return the day that a date, or a midnight in its own zone or New York's, stands for; None of a time of
    day."""
    if not isinstance(moment, dt.datetime):
        return moment
    for local in (moment, moment.astimezone(NEW_YORK) if moment.tzinfo else moment):
        if local.time() == dt.time(0):
            return local.date()
    return None


def _known_to_calendar(moment: dt.date | dt.datetime | None, of_days: bool) -> int | str:
    """Return epoch milliseconds of a moment, or why it has none.

    Calls fall due by the exchange's calendar, so it must reach beyond.
    """
    if moment is None:
        return "not a date or time (epoch times are in milliseconds)"
    day = _date(moment) if of_days else None
    if day is None and isinstance(moment, dt.datetime):
        time = int((moment if moment.tzinfo else moment.replace(tzinfo=NEW_YORK)).timestamp() * 1000)
    else:
        time = close_ms(day or moment)
    first, last = covered(moment.date() if isinstance(moment, dt.datetime) else moment)
    if not midnight(first) <= time <= midnight(last - _LONGEST_DUE):
        return f"not between {first} and {last - _LONGEST_DUE}, which the exchange's calendar covers"
    return time
