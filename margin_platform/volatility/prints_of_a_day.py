"""Prints by columns: of each symbol those that may be the close of its session.

A quick yes, for what a market sends all day: prints of one date that neither correct another nor are marked
as the official close. Of any others it says nothing, and each is taken by itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.messages import PRICES, BadEvent, decode
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.texts import NOT_THERE, TextIndex, Texts
from margin_platform.message_columns.plain_reading import Columns, of_topic
from margin_platform.trading_time.new_york import date_of
from margin_platform.trading_time.sessions import all_in_session, is_session
from margin_platform.volatility.close import Close

LEAST = 48  # prints below which columns take longer
_NO_PRINT = -1

Numbers = NDArray[np.int64]


class PrintsOfADay(NamedTuple):
    """What some prints of one date come to.

    newest: event time of the newest print of each symbol, of whatever hour; closes: of each symbol the newest
    prints in market hours, in the order of arrival; event_time: of the newest print of all symbols.
    """

    event_time: int
    newest: list[tuple[str, int]]
    closes: list[tuple[str, Close]]
    day: dt.date


class Reader:
    """Reads prints of the symbols that it holds; numbers them as they come."""

    def __init__(self, holds: Callable[[str], bool], most_ahead_seconds: float) -> None:
        """most_ahead_seconds: how long after it was produced a print may be stamped."""
        self._holds, self._most_ahead = holds, most_ahead_seconds * 1000
        self._names: list[str] = []
        self._held: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)  # by number
        self._index = TextIndex()

    def read(self, records: Sequence[Record]) -> PrintsOfADay | None:
        """Return what prints of one partition come to; None where each must be taken by itself.

        Those that break their contract count for nothing.
        """
        columns, doubtful = of_topic(PRICES).read([record.value for record in records])
        if any(_is_sound(records[n]) for n in doubtful.tolist()):
            return None
        produced = np.array([record.timestamp_ms for record in records], dtype=np.int64)
        sound = columns.whole("timestamp") - produced <= self._most_ahead
        sound[doubtful] = False
        if not sound.any():
            return None
        columns = columns.take(np.flatnonzero(sound))
        times = columns.whole("timestamp")
        day = date_of(int(times.min()))
        if columns.whole("correction").any() or columns.whole("official_close").any():
            return None
        return self._of_a_day(day, times, columns) if date_of(int(times.max())) == day else None

    def _of_a_day(self, day: dt.date, times: Numbers, columns: Columns) -> PrintsOfADay:
        event_time, numbers = int(times.max()), self._numbers_of(columns.texts("symbol"))
        if not self._held.all():
            held = np.flatnonzero(self._held[numbers])
            columns, times, numbers = columns.take(held), times[held], numbers[held]
        newest = self._newest(numbers, times)
        printed = np.flatnonzero(newest != _NO_PRINT)
        names = [self._names[number] for number in printed.tolist()]
        closes = list[tuple[str, Close]]()
        if is_session(day):
            inside = np.flatnonzero(all_in_session(day, times))
            last = self._newest(numbers[inside], times[inside])
            rows = inside[times[inside] == last[numbers[inside]]]
            closes = self._closes(numbers[rows], times[rows], columns.take(rows))
        return PrintsOfADay(event_time, list(zip(names, newest[printed].tolist(), strict=True)), closes, day)

    def _closes(self, numbers: Numbers, times: Numbers, columns: Columns) -> list[tuple[str, Close]]:
        sequences = zip(columns.whole("sequence").tolist(), columns.has("sequence").tolist(), strict=True)
        closes = map(
            Close,
            times.tolist(),
            columns.numbers("price").tolist(),
            [sequence if given else None for sequence, given in sequences],
            columns.whole("confirmed").astype(np.bool_).tolist(),
        )
        return list(zip([self._names[number] for number in numbers.tolist()], closes, strict=True))

    def _newest(self, numbers: Numbers, times: Numbers) -> Numbers:
        """Return the newest of these event times by symbol, _NO_PRINT of one without any."""
        newest = np.full(len(self._names), _NO_PRINT, dtype=np.int64)
        np.maximum.at(newest, numbers, times)
        return newest

    def _numbers_of(self, symbols: Texts) -> Numbers:
        numbers = self._index.numbers_of(self._names, symbols)
        new = np.flatnonzero(numbers == NOT_THERE)
        if len(new):
            self._names += dict.fromkeys(symbols.take(new).strings())
            self._held = np.append(self._held, [self._holds(name) for name in self._names[len(self._held) :]])
            numbers = self._index.numbers_of(self._names, symbols)
        return numbers


def _is_sound(record: Record) -> bool:
    try:
        decode(PRICES, record.value)
    except BadEvent:
        return False
    return True
