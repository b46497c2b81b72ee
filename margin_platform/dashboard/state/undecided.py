"""The status events that enforcement has still to decide: how many, and since when.

The page reads margin.status.v1 as enforcement does; how far that has come is in the decision store.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping

from margin_platform.contracts.json_object import Json

LATE_MS = 60_000  # on the wall clock, from when on decisions count as late
_KEPT = 50_000  # events a partition whose times are remembered


class Undecided:
    """One thread notes events, another what was decided, any number read."""

    def __init__(self) -> None:
        self._events: dict[int, deque[tuple[int, int, int]]] = {}  # offset, event time, written
        self._decided: Mapping[int, int] | None = None
        self._lock = threading.Lock()

    def note(self, partition: int, offset: int, event_time: int, written: int) -> None:
        """Note a status event. A topic that was created again begins at an earlier offset."""
        with self._lock:
            events = self._events.setdefault(partition, deque(maxlen=_KEPT))
            if events and offset <= events[-1][0]:
                events.clear()
            events.append((offset, event_time, written))
            self._forget(partition)

    def decided(self, next_offsets: Mapping[int, int] | None) -> None:
        """Note the next offset that enforcement decides of each partition; None where the store cannot be
        read.
        """
        with self._lock:
            self._decided = next_offsets
            for partition in self._events:
                self._forget(partition)

    def _forget(self, partition: int) -> None:
        events, upto = self._events[partition], (self._decided or {}).get(partition, 0)
        while events and events[0][0] < upto:
            events.popleft()

    def standing(self, now: int) -> Json | None:
        """Return {undecided, since, late}; None where the decision store cannot be read.

        since: event time of the oldest undecided event, None where all are decided; now: wall clock.
        """
        with self._lock:
            if self._decided is None:
                return None
            oldest = [events[0] for events in self._events.values() if events]
            return {
                "undecided": sum(map(len, self._events.values())),
                "since": min((event_time for _, event_time, _ in oldest), default=None),
                "late": any(now - written > LATE_MS for _, _, written in oldest),
            }
