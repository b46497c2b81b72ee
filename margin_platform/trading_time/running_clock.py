"""How an event clock goes on after its newest record: with the wall's clock live, not at all in a replay."""

from __future__ import annotations

# between a record's event time and its production; feeds may be delayed by a quarter of an hour
_LIVE_WITHIN_MS = 3_600_000


def running(time: int, produced: int, wall: int) -> int:
    """Return what the event clock shows when the wall's shows `wall`; all in epoch milliseconds.

    time, produced: the newest record's event time, and when it was produced. The records of a live market are
    produced at about their own time. Those of a replay are not, and its clock stands until its next record.
    """
    return time + max(0, wall - produced) if abs(produced - time) <= _LIVE_WITHIN_MS else time
