"""The wall clock: for freshness, lag and the end of reservations only, never in a figure."""

from __future__ import annotations

import time


def wall_clock_ms() -> int:
    """Return now, epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000
