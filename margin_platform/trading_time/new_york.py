"""The exchange's time zone, in which sessions, ex-dates and due times are told."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def clock(at: int) -> str:
    """A time in epoch milliseconds as a person reads it: date, hour, minute and zone."""
    return dt.datetime.fromtimestamp(at / 1000, NEW_YORK).strftime("%Y-%m-%d %H:%M %Z")
