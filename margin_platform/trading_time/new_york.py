"""The exchange's time zone, and every way in which a time in epoch milliseconds is written for people."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def date_of(at: int) -> dt.date:
    """Return the New York date of a time in epoch milliseconds."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).date()


def clock(at: int) -> str:
    """Return date, hour, minute and zone, e.g. 2020-02-21 15:00 EST."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).strftime("%Y-%m-%d %H:%M %Z")


def weekday_clock(at: int) -> str:
    """Return weekday, date, hour, minute and zone, e.g. Fri 21 Feb 2020 15:00 EST."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).strftime("%a %d %b %Y %H:%M %Z")


def local_time(at: int | None) -> str | None:
    """Return the ISO time in New York with its offset, or None."""
    return None if at is None else dt.datetime.fromtimestamp(at / 1000, NEW_YORK).isoformat()
