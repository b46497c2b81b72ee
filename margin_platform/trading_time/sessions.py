"""Business days and market hours on the New York Stock Exchange calendar (XNYS):
due dates of calls, sessions, closes.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd

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
    return _calendar_from(_LIVE if reaching >= _LIVE else _EARLIEST)


@functools.cache
def _calendar_from(first: dt.date) -> Any:
    return exchange_calendars.get_calendar("XNYS", start=first.isoformat())


def covered(reaching: dt.date = _LIVE) -> tuple[dt.date, dt.date]:
    """Return the first and last session known: from 1989, or 1970 where an earlier date is asked about, to
    about a year from today.
    """
    calendar = _calendar(reaching)
    return calendar.first_session.date(), calendar.last_session.date()


def is_session(day: dt.date) -> bool:
    """Report whether the exchange opens on a date; no date before 1970 or beyond the calendar's end is known
    to be a session.
    """
    return _covers(day) and bool(_calendar(day).is_session(pd.Timestamp(day)))


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
    calendar = _calendar(start)
    following = calendar.date_to_session(pd.Timestamp(start) + pd.Timedelta(days=1), direction="next")
    session: pd.Timestamp = calendar.session_offset(following, days - 1)
    return session.date()


def session_close(day: dt.date) -> dt.datetime:
    """Return the closing time of a session, early closes included, zone-aware New York.

    ValueError where the date is no session.
    """
    if not is_session(day):
        raise ValueError(f"day: not a session of XNYS, value {day.isoformat()}")
    return _close(_calendar(day), day)


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


def _close(calendar: Any, session: dt.date) -> dt.datetime:
    close: pd.Timestamp = calendar.session_close(pd.Timestamp(session))
    return close.to_pydatetime().astimezone(NEW_YORK)


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


@functools.lru_cache(maxsize=4096)
def _session_bounds(session: pd.Timestamp) -> tuple[float, float]:
    calendar = _calendar(session.date())
    return calendar.session_open(session).timestamp(), calendar.session_close(session).timestamp()


def in_session(at_ms: int) -> bool:
    """Report whether an event time (epoch milliseconds) lies in a session, its closing print included.

    Where the calendar does not reach, all time counts.
    """
    opened, closed = _hours(date_of(at_ms))
    return opened <= at_ms / 1000 <= closed


@functools.lru_cache(maxsize=4096)
def _hours(day: dt.date) -> tuple[float, float]:
    """Return the opening and closing time of a date in seconds; of a closed day none lies between them."""
    if not _covers(day):
        return -math.inf, math.inf
    return _session_bounds(pd.Timestamp(day)) if is_session(day) else (math.inf, -math.inf)


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
    day = dt.datetime.fromtimestamp(at, NEW_YORK).date()
    calendar = _calendar(day)
    if not _covers(day):
        return int((at + seconds) * 1000)
    session = calendar.date_to_session(pd.Timestamp(day), direction="next")
    while True:
        opened, closed = _session_bounds(session)
        begun = max(at, opened)
        if closed > at and closed - begun >= left:
            return int(round((begun + left) * 1000))
        left -= max(0.0, closed - begun)
        if session >= calendar.last_session:
            return int((closed + left) * 1000)
        session = calendar.next_session(session)


def trading_time_before(at_ms: int, seconds: float) -> int:
    """Return the event time that lies this many seconds of trading before another: older prices are stale
    (epoch milliseconds).

    Where the calendar does not reach, all time counts.
    """
    at, left = at_ms / 1000, seconds
    day = dt.datetime.fromtimestamp(at, NEW_YORK).date()
    if not _covers(day):
        return int((at - seconds) * 1000)
    calendar = _calendar(day)
    session = calendar.date_to_session(pd.Timestamp(day), direction="previous")
    while session > calendar.first_session:
        opened, closed = _session_bounds(session)
        traded = min(at, closed) - opened
        if traded >= left:
            return int((min(at, closed) - left) * 1000)
        left -= max(0.0, traded)
        session = calendar.previous_session(session)
    return int(_session_bounds(session)[0] * 1000)


def trading_seconds_between(first_ms: int, last_ms: int) -> float:
    """Count the seconds of trading time between two event times (epoch milliseconds): nights, weekends and
    holidays do not age a price.

    Where the calendar does not reach, all time counts.
    """
    first, last = first_ms / 1000, last_ms / 1000
    if last <= first:
        return 0.0
    from_day, to_day = (dt.datetime.fromtimestamp(at, NEW_YORK).date() for at in (first, last))
    if not (_covers(from_day) and _covers(to_day)):
        return last - first
    total = 0.0
    for session in _calendar(from_day).sessions_in_range(pd.Timestamp(from_day), pd.Timestamp(to_day)):
        opened, closed = _session_bounds(session)
        total += max(0.0, min(last, closed) - max(first, opened))
    return total


def sessions_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the sessions between two dates, both included, as far as the calendar reaches (1970 to about a
    year from today).
    """
    calendar = _calendar(first)
    low, high = (
        max(pd.Timestamp(first), calendar.first_session),
        min(pd.Timestamp(last), calendar.last_session),
    )
    return [] if low > high else [day.date() for day in calendar.sessions_in_range(low, high)]
