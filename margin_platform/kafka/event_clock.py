"""The event clock: the highest event time on prices.v1.

Timers fire on it, so that a replay decides as the live day did.

Prices of a live market are produced at about their own time. After the last of them, in the evening, over a
weekend or when the feed is silent, its clock goes on with the wall's; a replay's stands until its next price.
"""

from __future__ import annotations

from margin_platform.contracts.messages import PRICES, BadEvent, check_time, decode
from margin_platform.kafka.event_log import EventLog
from margin_platform.policy.policy import current_policy
from margin_platform.trading_time.running_clock import running

_LOOK_BACK = 50  # records per partition: newer offsets may carry older event times


def event_time(bus: EventLog) -> int | None:
    """Return epoch milliseconds of the newest price among each partition's last records; None before the
    first price.
    """
    newest = _newest(bus)
    return None if newest is None else newest[0]


def clock(bus: EventLog, wall_ms: int) -> int | None:
    """Return what the event clock shows when the wall clock shows this (epoch milliseconds); None before the
    first price.
    """
    newest = _newest(bus)
    if newest is None:
        return None
    return running(*newest, wall_ms)


def _newest(bus: EventLog) -> tuple[int, int] | None:
    """Return (event time, time of production) of the newest price.

    A price from the future moves no clock, as it values nothing: it would fire every timer of the ladder at
    once.
    """
    most_ahead = current_policy().prices.max_future_seconds
    oldest = bus.beginning_offsets(PRICES)
    newest: tuple[int, int] | None = None
    for partition, end in bus.end_offsets(PRICES).items():
        start = max(oldest[partition], end - _LOOK_BACK)
        if start >= end:
            continue
        for record in bus.read_range(PRICES, partition, start, end):
            try:
                event = decode(PRICES, record.value)
                check_time(event, record.timestamp_ms, most_ahead)
            except BadEvent:
                continue  # the margin stream sends it to dead_letter.v1
            found = int(event["timestamp"]), record.timestamp_ms
            newest = found if newest is None else max(newest, found)
    return newest
