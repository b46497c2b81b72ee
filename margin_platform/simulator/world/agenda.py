"""What happens when: the simulated clock, and the acts that wait for a time. One thing happens at a time."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """Acts in order of their time (epoch milliseconds); those of one time in the order they were entered."""

    def __init__(self, now: int) -> None:
        """Begin at a time."""
        self.now = now
        self._acts: list[tuple[int, int, Callable[[], None]]] = []
        self._entered = 0
        self._waits: set[str] = set()

    def at(self, time: int, act: Callable[[], None]) -> None:
        """Enter an act; one of the past happens now."""
        heapq.heappush(self._acts, (max(time, self.now), self._entered, act))
        self._entered += 1

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Enter an act that happens some seconds from now."""
        self.at(self.now + int(seconds * 1000), act)

    def once(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        """Enter an act some seconds from now, unless one of this name waits already."""

        def now() -> None:
            self._waits.discard(name)
            act()

        if name not in self._waits:
            self._waits.add(name)
            self.after(seconds, now)

    def run_until(self, end: int) -> None:
        """Let everything happen up to a time, which it then is."""
        while self._acts and self._acts[0][0] <= end:
            self.now, _, act = heapq.heappop(self._acts)
            act()
        self.now = max(self.now, end)
