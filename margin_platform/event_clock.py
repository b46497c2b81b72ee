"""The event clock: the highest event time on prices.v1. Timers fire on it, so that a replay decides as the live day did."""

from __future__ import annotations

from margin_platform.bus import Bus
from margin_platform.events import PRICES, BadEvent, check_time, decode
from margin_platform.policy import current_policy

_LOOK_BACK = 50          # records per partition: newer offsets may carry older event times


def event_time(bus: Bus) -> int | None:
    """Epoch milliseconds of the newest price among each partition's last records; None before the first price.

    A price from the future moves no clock, as it values nothing: it would fire every timer of the ladder at once.
    """
    most_ahead = current_policy().prices.max_future_seconds
    oldest = bus.beginning_offsets(PRICES)
    newest: int | None = None
    for partition, end in bus.end_offsets(PRICES).items():
        start = max(oldest[partition], end - _LOOK_BACK)
        if start >= end:
            continue
        for record in bus.read_range(PRICES, partition, start, end):
            try:
                event = decode(PRICES, record.value)
                check_time(event, record.timestamp_ms, most_ahead)
            except BadEvent:
                continue   # the margin stream sends it to dead_letter.v1
            newest = max(newest or 0, int(event["timestamp"]))
    return newest
