"""The exchange's hours in the two years that stories play in, from the exchange's published calendar."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

_NEW_YORK = ZoneInfo("America/New_York")
_CLOSED = {
    *(dt.date(2024, *day) for day in ((1, 1), (1, 15), (2, 19), (3, 29), (5, 27), (6, 19), (7, 4), (9, 2))),
    *(dt.date(2024, *day) for day in ((11, 28), (12, 25))),
    *(dt.date(2025, *day) for day in ((1, 1), (1, 9), (1, 20), (2, 17), (4, 18), (5, 26), (6, 19), (7, 4))),
    *(dt.date(2025, *day) for day in ((9, 1), (11, 27), (12, 25))),
    dt.date(2026, 1, 1),
}
_SHORT = {  # they end at 13:00
    *(dt.date(2024, *day) for day in ((7, 3), (11, 29), (12, 24))),
    *(dt.date(2025, *day) for day in ((7, 3), (11, 28), (12, 24))),
}


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
    """Return the hour of the nth session after a day, or the session's end where that is earlier."""
    day, ends = date_of(opened), 0
    while sessions:
        day += dt.timedelta(days=1)
        if hours := session_of(day):
            sessions, ends = sessions - 1, hours[1]
    return min(_ms(day, dt.time(hour)), ends)


def date_of(at: int) -> dt.date:
    """Return the New York date of a time."""
    return dt.datetime.fromtimestamp(at / 1000, _NEW_YORK).date()


def _ms(day: dt.date, time: dt.time) -> int:
    return int(dt.datetime.combine(day, time, _NEW_YORK).timestamp() * 1000)
