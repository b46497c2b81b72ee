"""An account's equity, requirement and excess over time, as the margin stream's table has them, and what they
did today.

The table has every figure that was published. A day or a month of them is thinned to what a chart can show;
no value is computed or averaged.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from margin_platform.contracts.json_object import Json
from margin_platform.documents.book_input import InputError
from margin_platform.money import cents
from margin_platform.table_storage import location, storage_options
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import is_session

_FIGURES_TABLE = "margin_snapshots"
FIGURES = ("equity", "requirement", "excess")
MOST_POINTS = 400
_MS_A_DAY = 24 * 3_600_000
_MONTH_DAYS = 31
_EARLIER_DAYS = 10  # in which the last figure before a day is looked for: longer than any closing
_SPANS = ("day", "month")
_KEPT = 1_000
_AGAIN_S = 10.0  # until an opening that was not found is looked for again


class Opening(NamedTuple):
    """The last published equity before a session's day: what the day's change is counted from."""

    timestamp: int
    equity: float


def history(account_id: str, span: str, clock: int) -> Json:
    """Return {since, points: [[timestamp, equity, requirement, excess]]} up to an event time, oldest first.

    span: day or month. InputError for another one. `why` says that there is no table.
    """
    if span not in _SPANS:
        raise InputError("span", span, f"not one of {', '.join(_SPANS)}")
    since = day_start(clock) if span == "day" else clock - _MONTH_DAYS * _MS_A_DAY
    rows = _rows(account_id, since, clock)
    if rows is None:
        return {"since": since, "points": [], "why": "no table of margin figures yet"}
    return {"since": since, "points": thinned(rows, since, clock)}


def day_start(clock: int) -> int:
    """Return the midnight in New York that begins the session day of an event time; on a closed day, that of
    the session before it.
    """
    day = date_of(clock)
    for _ in range(_EARLIER_DAYS):
        if is_session(day):
            break
        day -= dt.timedelta(days=1)
    return int(dt.datetime.combine(day, dt.time(), NEW_YORK).timestamp() * 1000)


def thinned(rows: list[list[float | None]], since: int, upto: int) -> list[list[float | None]]:
    """Return the last row of each of equal slots of time, and the very first."""
    if len(rows) <= MOST_POINTS:
        return rows
    slot = max(1, -(-(upto - since) // (MOST_POINTS - 1)))
    kept = {int(row[0] or 0) // slot: row for row in rows}
    return [rows[0], *(row for row in kept.values() if row is not rows[0])]


def _rows(account_id: str, since: int, upto: int) -> list[list[float | None]] | None:
    """Return the rows of an account from an event time to another; None where there is no table.

    A replay that starts over writes a time again: the later batch counts.
    """
    where = location(_FIGURES_TABLE)
    try:
        table = DeltaTable(where, storage_options=storage_options(where))
    except TableNotFoundError:
        return None
    found = table.to_pyarrow_table(
        columns=["calc_timestamp", *FIGURES, "batch_id"],
        filters=[
            ("account_id", "=", account_id),
            ("calc_timestamp", ">=", since),
            ("calc_timestamp", "<=", upto),
        ],
    )
    return _in_time(found)


def _in_time(found: pa.Table) -> list[list[float | None]]:
    known = found.filter(pc.is_valid(found["equity"]))
    ordered = known.sort_by([("calc_timestamp", "ascending"), ("batch_id", "ascending")])
    columns = [ordered[name].to_pylist() for name in ("calc_timestamp", *FIGURES)]
    by_time = {row[0]: list(row) for row in zip(*columns, strict=True)}
    return list(by_time.values())


class Openings:
    """The opening equity of accounts asked about, each read from the table once a day.

    One that was not found is looked for again after some seconds: the table may come later. clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # with when it was looked for
        self._known: OrderedDict[tuple[str, int], tuple[Opening | None, float]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, account_id: str, clock: int) -> Opening | None:
        """Return the last published equity before the session day of an event time; None where the table has
        none.
        """
        day, now = day_start(clock), self._clock()
        with self._lock:
            known, asked = self._known.get((account_id, day), (None, -math.inf))
        if known is not None or now < asked + _AGAIN_S:
            return known
        rows = _rows(account_id, day - _EARLIER_DAYS * _MS_A_DAY, day - 1)
        opening = Opening(int(rows[-1][0] or 0), float(rows[-1][1] or 0.0)) if rows else None
        with self._lock:
            self._known[account_id, day] = opening, now
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return opening

    def day(
        self, account_id: str, equity: float | None, at: int | None, moved: Callable[[int, int], float]
    ) -> Json | None:
        """Return the day's P&L: the change of equity since the opening, less what was deposited since.

        equity, at: dollars, and the event time they stand at; moved: net deposits between two event times.
        None where either end is unknown.
        """
        opening = None if equity is None or at is None else self.of(account_id, at)
        if equity is None or at is None or opening is None:
            return None
        deposits = moved(opening.timestamp, at)
        return {
            "since": opening.timestamp,
            "opening_equity": opening.equity,
            "deposits": deposits,
            "pnl": cents(equity - opening.equity - deposits),
        }
