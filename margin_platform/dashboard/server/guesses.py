"""Guesses of the token: each address may be wrong a few times, then its next tries are not looked at for a
while.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BURST = 10  # wrong tokens that an address may show at once
REGAINED_S = 6.0  # seconds after which it may show one more
_MOST_ADDRESSES = 10_000  # remembered; the one that was wrong longest ago is forgotten


class Guesses:
    """The wrong guesses of each address. clock: seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, tuple[float, float]] = {}  # address -> wrong ones that count, since when

    def wait_s(self, address: str) -> float:
        """Return for how long nothing of this address is looked at; 0 where it may try now."""
        return max(0.0, (self._counting(address) - BURST + 1) * REGAINED_S)

    def was_wrong(self, address: str) -> None:
        """Count a wrong guess."""
        count = self._counting(address) + 1
        self._wrong.pop(address, None)
        self._wrong[address] = count, self._clock()
        if len(self._wrong) > _MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]

    def _counting(self, address: str) -> float:
        count, since = self._wrong.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - since) / REGAINED_S)
