"""The exchange's hours in the weeks that stories play in, from the exchange's published calendar."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

_NEW_YORK = ZoneInfo("America/New_York")
_CLOSED = {dt.date(2024, 3, 29), dt.date(2024, 7, 4), dt.date(2024, 9, 2), dt.date(2024, 11, 28)}
_SHORT = {dt.date(2024, 7, 3), dt.date(2024, 11, 29)}  # they end at 13:00


def session_of(day: dt.date) -> tuple[int, int] | None:
    """Return open and close of a day (epoch milliseconds), None where the exchange is closed."""
    if day.weekday() >= 5 or day in _CLOSED:
        return None
    ends = dt.time(13) if day in _SHORT else dt.time(16)
    return _ms(day, dt.time(9, 30)), _ms(day, ends)


def after_trading(start: int, minutes: float) -> int:
    """Return the time by which so many minutes of trading have passed since another."""
    left, day = int(minutes * 60_000), date_of(start)
    while True:
        hours = session_of(day)
        if hours is not None:
            begins = max(start, hours[0])
            if begins < hours[1] and begins + left <= hours[1]:
                return begins + left
            left -= max(0, hours[1] - begins)
        day += dt.timedelta(days=1)


def due_after(opened: int, sessions: int, hour: int) -> int:
    """Return the hour of the nth session after a day."""
    day = date_of(opened)
    while sessions:
        day += dt.timedelta(days=1)
        sessions -= session_of(day) is not None
    return _ms(day, dt.time(hour))


def date_of(at: int) -> dt.date:
    """Return the New York date of a time."""
    return dt.datetime.fromtimestamp(at / 1000, _NEW_YORK).date()


def _ms(day: dt.date, time: dt.time) -> int:
    return int(dt.datetime.combine(day, time, _NEW_YORK).timestamp() * 1000)
