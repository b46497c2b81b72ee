"""The age of a price, in seconds of trading, and the due time of a call; both on the exchange's calendar."""

from __future__ import annotations

import datetime as dt

import pytest

from margin_platform.trading_time.sessions import due_time, trading_seconds_between

FRIDAY_CLOSE = 1_582_318_800_000  # 2020-02-21 16:00 New York
DAY = 86_400_000


def test_a_weekend_does_not_age_a_price() -> None:
    assert trading_seconds_between(FRIDAY_CLOSE - 60_000, FRIDAY_CLOSE + 2 * DAY) == 60
    assert trading_seconds_between(FRIDAY_CLOSE, FRIDAY_CLOSE + 3 * DAY) == 6.5 * 3600


def test_a_time_beyond_the_calendar_is_an_age_and_no_error() -> None:
    assert trading_seconds_between(1_000, FRIDAY_CLOSE) == (FRIDAY_CLOSE - 1_000) / 1000
    assert (
        trading_seconds_between(FRIDAY_CLOSE, 4_102_444_800_000) == (4_102_444_800_000 - FRIDAY_CLOSE) / 1000
    )
    assert trading_seconds_between(FRIDAY_CLOSE, FRIDAY_CLOSE - 1) == 0


@pytest.mark.parametrize(
    ("opened", "days", "due"),
    [
        ("2020-02-21T10:46-05:00", 4, "2020-02-27T15:00-05:00"),  # over a weekend
        ("2020-03-05T10:00-05:00", 2, "2020-03-09T15:00-04:00"),  # over the change to summer time
        # Thanksgiving is no session, the day after closes at 13:00
        ("2020-11-24T10:00-05:00", 2, "2020-11-27T13:00-05:00"),
        ("2020-07-02T10:00-04:00", 1, "2020-07-06T15:00-04:00"),  # Independence Day, kept on the Friday
        ("2020-02-22T12:00-05:00", 1, "2020-02-24T15:00-05:00"),  # opened on a Saturday
        ("2020-02-21T23:30-05:00", 1, "2020-02-24T15:00-05:00"),  # still Friday in New York, Saturday in UTC
        ("2020-02-21T15:30-05:00", 0, "2020-02-21T15:30-05:00"),  # due on its own day, whose hour is past
        ("2020-02-21T17:00-05:00", 0, "2020-02-24T09:30-05:00"),  # and whose session is over
        # opened and due on a Saturday: the session after it
        ("2020-02-22T12:00-05:00", 0, "2020-02-24T15:00-05:00"),
        ("2020-11-27T09:00-05:00", 0, "2020-11-27T13:00-05:00"),
    ],
)
def test_a_call_falls_due_by_the_exchanges_calendar_and_new_yorks_clock(
    opened: str, days: int, due: str
) -> None:
    assert due_time(
        dt.datetime.fromisoformat(opened).astimezone(dt.UTC), days, 15
    ) == dt.datetime.fromisoformat(due)
