"""The event clock: the highest event time on prices.v1. Timers fire on it, so that a replay decides as the live day did."""

from __future__ import annotations

from margin_platform.bus import Bus
from margin_platform.events import PRICES, BadEvent, decode

_LOOK_BACK = 50          # records per partition: newer offsets may carry older event times


def event_time(bus: Bus) -> int | None:
    """Epoch milliseconds of the newest price among each partition's last records; None before the first price."""
    oldest = bus.beginning_offsets(PRICES)
    newest: int | None = None
    for partition, end in bus.end_offsets(PRICES).items():
        start = max(oldest[partition], end - _LOOK_BACK)
        if start >= end:
            continue
        for record in bus.read_range(PRICES, partition, start, end):
            try:
                time = int(decode(PRICES, record.value)["timestamp"])
            except BadEvent:
                continue
            newest = time if newest is None else max(newest, time)
    return newest
