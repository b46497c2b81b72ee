"""The age of a price: seconds of trading, and all time where the calendar does not reach."""

from __future__ import annotations

from margin_platform.business_days import trading_seconds_between

FRIDAY_CLOSE = 1_582_318_800_000   # 2020-02-21 16:00 New York
DAY = 86_400_000


def test_a_weekend_does_not_age_a_price() -> None:
    assert trading_seconds_between(FRIDAY_CLOSE - 60_000, FRIDAY_CLOSE + 2 * DAY) == 60
    assert trading_seconds_between(FRIDAY_CLOSE, FRIDAY_CLOSE + 3 * DAY) == 6.5 * 3600


def test_a_time_beyond_the_calendar_is_an_age_and_no_error() -> None:
    assert trading_seconds_between(1_000, FRIDAY_CLOSE) == (FRIDAY_CLOSE - 1_000) / 1000
    assert trading_seconds_between(FRIDAY_CLOSE, 4_102_444_800_000) == (4_102_444_800_000 - FRIDAY_CLOSE) / 1000
    assert trading_seconds_between(FRIDAY_CLOSE, FRIDAY_CLOSE - 1) == 0
