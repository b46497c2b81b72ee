"""The exchange's time zone, and every way in which a time in epoch milliseconds is written for people."""

from __future__ import annotations

import datetime as dt
import functools
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
_MONTHS = ["Jan.", "Feb.", "March", "April", "May", "June", "July", "Aug.", "Sept.", "Oct.", "Nov.", "Dec."]


def date_of(at: int) -> dt.date:
    """Return the New York date of a time in epoch milliseconds."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).date()


def clock(at: int) -> str:
    """Return date, hour, minute and zone, e.g. 2020-02-21 15:00 EST."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).strftime("%Y-%m-%d %H:%M %Z")


def written_time(at: int) -> str:
    """Return a time as a letter to a customer writes it, e.g. Friday, Feb. 28, 2020, 3:00 p.m. ET."""
    local = dt.datetime.fromtimestamp(at / 1000, NEW_YORK)
    half = "a.m." if local.hour < 12 else "p.m."
    day = f"{local:%A}, {_MONTHS[local.month - 1]} {local.day}, {local.year}"
    return f"{day}, {(local.hour - 1) % 12 + 1}:{local:%M} {half} ET"


@functools.lru_cache(maxsize=4096)  # the calls of a crash fall due at one time
def local_time(at: int | None) -> str | None:
    """Return the ISO time in New York with its offset, or None."""
    return None if at is None else dt.datetime.fromtimestamp(at / 1000, NEW_YORK).isoformat()
