"""Business days and market hours on the New York Stock Exchange calendar (XNYS):
due dates of calls, sessions, closes.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from bisect import bisect_left, bisect_right
from typing import Any, NamedTuple

import exchange_calendars
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from margin_platform.trading_time.new_york import NEW_YORK, date_of

_LIVE = dt.date(1989, 1, 1)  # the library's own default covers twenty years only
_EARLIEST = dt.date(1970, 1, 1)  # event times are not negative
_A_MONTH = dt.timedelta(days=31)
_USUAL_CLOSE = dt.time(16)
_SATURDAY = 5


def _calendar(reaching: dt.date = _LIVE) -> Any:
    """Return the exchange's calendar.

    Only a date before 1989, of an old history, pays for one that begins in 1970.
    """
    return _calendar_from(_first(reaching))


def _first(reaching: dt.date) -> dt.date:
    return _LIVE if reaching >= _LIVE else _EARLIEST


@functools.cache
def _calendar_from(first: dt.date) -> Any:
    return exchange_calendars.get_calendar("XNYS", start=first.isoformat())


class _Sessions(NamedTuple):
    """All sessions as columns: the calendar itself takes a hundred times as long to answer.

    opened, closed: seconds since 1970; number: of each date's session.
    """

    days: list[dt.date]
    opened: list[float]
    closed: list[float]
    number: dict[dt.date, int]


def _sessions(reaching: dt.date = _LIVE) -> _Sessions:
    return _sessions_from(_first(reaching))


@functools.cache
def _sessions_from(first: dt.date) -> _Sessions:
    calendar = _calendar_from(first)
    days = [session.date() for session in calendar.sessions]
    opened, closed = ((nanos / 1e9).tolist() for nanos in (calendar.opens_nanos, calendar.closes_nanos))
    return _Sessions(days, opened, closed, {day: number for number, day in enumerate(days)})


def covered(reaching: dt.date = _LIVE) -> tuple[dt.date, dt.date]:
    """Return the first and last session known: from 1989, or 1970 where an earlier date is asked about, to
    about a year from today.
    """
    days = _sessions(reaching).days
    return days[0], days[-1]


def is_session(day: dt.date) -> bool:
    """Report whether the exchange opens on a date; no date before 1970 or beyond the calendar's end is known
    to be a session.
    """
    return _covers(day) and day in _sessions(day).number


def _covers(day: dt.date) -> bool:
    first, last = covered(day)
    return first < day <= last


def _reaches(day: dt.date) -> bool:
    """Report whether the calendar knows the weeks after a date."""
    first, last = covered(day)
    return first < day < last - _A_MONTH


def business_day_after(start: dt.date, days: int) -> dt.date:
    """Return the n-th session after a date (the date itself is day 0, whether or not it is a session).

    ValueError if days < 0.

    Where the calendar does not reach, every weekday counts.
    """
    if days < 0:
        raise ValueError(f"days: negative, value {days!r}")
    if days == 0:
        return start
    if not _reaches(start):
        return dt.date.fromisoformat(str(np.busday_offset(start, days, roll="backward")))
    known = _sessions(start).days
    return known[bisect_right(known, start) + days - 1]


def session_close(day: dt.date) -> dt.datetime:
    """Return the closing time of a session, early closes included, zone-aware New York.

    ValueError where the date is no session.
    """
    if not is_session(day):
        raise ValueError(f"day: not a session of XNYS, value {day.isoformat()}")
    known = _sessions(day)
    return dt.datetime.fromtimestamp(known.closed[known.number[day]], NEW_YORK)


def close_ms(day: dt.date) -> int:
    """Return the event time of a date's close:
    its session's, early closes included, or 16:00 where it is no session.
    """
    close = session_close(day) if is_session(day) else dt.datetime.combine(day, _USUAL_CLOSE, NEW_YORK)
    return int(close.timestamp() * 1000)


def why_closed(day: dt.date) -> str:
    """Explain why the exchange does not open on a date that is no session: the day of the week, or the
    holiday's name.
    """
    if day.weekday() >= _SATURDAY:
        return f"{day:%A}"
    at = pd.Timestamp(day)
    named = _calendar(day).regular_holidays.holidays(at, at, return_name=True)
    return str(named.iloc[0]) if len(named) and named.iloc[0] else "the exchange was closed"


def is_open(at: dt.datetime) -> bool:
    """Report whether the market trades at an aware time."""
    return bool(_calendar(at.date()).is_trading_minute(pd.Timestamp(at).tz_convert("UTC").floor("min")))


def next_open(at: dt.datetime) -> dt.datetime:
    """Return the first minute from an aware time on at which the market trades; the time itself where it is
    open.

    Where the calendar does not reach, the market counts as open.
    """
    if not _reaches(at.astimezone(NEW_YORK).date()):
        return at
    if is_open(at):
        return at
    opening: pd.Timestamp = _calendar(at.date()).next_open(pd.Timestamp(at).tz_convert("UTC").floor("min"))
    return opening.to_pydatetime().astimezone(NEW_YORK)


@functools.lru_cache(maxsize=4096)  # a thousand calls may open at one close
def due_time(opened: dt.datetime, days: int, hour: int) -> dt.datetime:
    """Return when a call opened at an aware time falls due: `hour` o'clock New York, or an earlier close, on
    the n-th session after it.

    A call that is due on its own day and opened after that hour is due immediately, or when the exchange
    next opens. A closed day stands for the session after it.
    """
    opened = opened.astimezone(NEW_YORK)
    day = business_day_after(opened.date(), days)
    if _covers(day) and not is_session(day):  # opened on a closed day and due on it
        day = business_day_after(day, 1)
    at_hour = dt.datetime.combine(day, dt.time(hour), NEW_YORK)
    due = min(at_hour, session_close(day)) if is_session(day) else at_hour
    if due > opened:
        return due
    return dt.datetime.fromtimestamp(trading_time_after(int(opened.timestamp() * 1000), 0.0) / 1000, NEW_YORK)


def in_session(at_ms: int) -> bool:
    """Report whether an event time (epoch milliseconds) lies in a session, its closing print included.

    Where the calendar does not reach, all time counts.
    """
    opened, closed = _hours(date_of(at_ms))
    return opened <= at_ms / 1000 <= closed


def all_in_session(day: dt.date, at_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Report `in_session` of each of these event times, all of one New York date."""
    opened, closed = _hours(day)
    return np.asarray((opened <= at_ms / 1000) & (at_ms / 1000 <= closed))


def _hours(day: dt.date) -> tuple[float, float]:
    """Return the opening and closing time of a date in seconds; of a closed day none lies between them."""
    if not _covers(day):
        return -math.inf, math.inf
    known = _sessions(day)
    number = known.number.get(day)
    return (math.inf, -math.inf) if number is None else (known.opened[number], known.closed[number])


@functools.lru_cache(maxsize=4096)  # a thousand calls may open at one close
def trading_time_after(at_ms: int, seconds: float) -> int:
    """Return the event time at which this many seconds of trading have passed since another (epoch
    milliseconds).

    Of no seconds it is the first time in a session from then on. Where the calendar does not reach, all time
    counts.
    """
    if seconds == 0 and in_session(at_ms):
        return at_ms
    at, left = at_ms / 1000, seconds
    day = date_of(at_ms)
    if not _covers(day):
        return int((at + seconds) * 1000)
    known = _sessions(day)
    for number in range(bisect_left(known.days, day), len(known.days)):
        closed, begun = known.closed[number], max(at, known.opened[number])
        if closed > at and closed - begun >= left:
            return int(round((begun + left) * 1000))
        left -= max(0.0, closed - begun)
    return int((known.closed[-1] + left) * 1000)


def trading_time_before(at_ms: int, seconds: float) -> int:
    """Return the event time that lies this many seconds of trading before another: older prices are stale
    (epoch milliseconds).

    Where the calendar does not reach, all time counts.
    """
    at, left = at_ms / 1000, seconds
    day = date_of(at_ms)
    if not _covers(day):
        return int((at - seconds) * 1000)
    known = _sessions(day)
    for number in range(bisect_right(known.days, day) - 1, 0, -1):
        ended = min(at, known.closed[number])
        traded = ended - known.opened[number]
        if traded >= left:
            return int((ended - left) * 1000)
        left -= max(0.0, traded)
    return int(known.opened[0] * 1000)


def trading_seconds_between(first_ms: int, last_ms: int) -> float:
    """Count the seconds of trading time between two event times (epoch milliseconds): nights, weekends and
    holidays do not age a price.

    Where the calendar does not reach, all time counts.
    """
    first, last = first_ms / 1000, last_ms / 1000
    if last <= first:
        return 0.0
    from_day, to_day = date_of(first_ms), date_of(last_ms)
    if not (_covers(from_day) and _covers(to_day)):
        return last - first
    known, total = _sessions(from_day), 0.0
    for number in range(bisect_left(known.days, from_day), bisect_right(known.days, to_day)):
        total += max(0.0, min(last, known.closed[number]) - max(first, known.opened[number]))
    return total


def sessions_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the sessions between two dates, both included, as far as the calendar reaches (1970 to about a
    year from today).
    """
    known = _sessions(first).days
    return known[bisect_left(known, first) : bisect_right(known, last)]
