"""The clock of a stream: the newest event time read, unless the partition that showed it proves it to be
ahead.

A host whose clock is fast stamps its events, and the records that carry them, later than they happen. Readers
refuse what is ahead of their own clock (`contracts.offsets.not_after_now`). What a replay can still tell, it
tells from the order of a partition's records, which is that of their arrival: two records in a row, produced
well before the newest time of their partition, show that this time had not come, and the clock goes back to
them; one may only be late. A time further ahead than any market is closed moves the clock only once the next
record of the partition bears it out. Where ticks of the wall's clock are among the records, a live market's
clock goes on with them after its newest record. Pure: follows from the records.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.offsets import Record
from margin_platform.market.live_market import LATE_MS
from margin_platform.trading_time.running_clock import running

FAR_MS = 10 * 86_400_000  # longer than any closing of the market
_TIME_BITS = 42  # of epoch milliseconds, to the year 2109
_MOST = 1 << 20  # records that are looked at together


class Passed(NamedTuple):
    """Where records of one partition bring the clock.

    newest_before, produced_before: by record, event time of the newest record before it, and when that one
    was produced.
    """

    now: int
    newest: tuple[int, int]
    newest_before: NDArray[np.int64]
    produced_before: NDArray[np.int64]
    partition: str | None = None
    newest_of_partition: int = 0


class StreamClock:
    """`now` is in epoch milliseconds, 0 before the first event. Durable through `to_state`."""

    def __init__(self, moved_by: Container[str]) -> None:
        """Start at 0. moved_by: topics whose events move the clock."""
        self._moved_by = moved_by
        self.now = 0
        # event time of the newest record, and when it was produced
        self.newest = (0, 0)
        # of each partition: newest event time; when the last record was produced that contradicts it, and the
        # last far ahead; 0: none
        self._partitions: dict[str, tuple[int, int, int]] = {}

    def after(self, record: Record, event_time: int) -> int:
        """Return what the clock shows once a record's event is read."""
        if record.topic in self._moved_by:
            self._move(f"{record.topic}[{record.partition}]", event_time, record.timestamp_ms)
        return self.now

    def after_all(
        self, topic: str, partition: int, times: NDArray[np.int64], produced: NDArray[np.int64]
    ) -> Passed | None:
        """Return what the clock shows once records of a partition are read, given by event time and time of
        production; None where one of them may contradict it. `pass_to` moves it there.
        """
        if topic not in self._moved_by:
            newest, produced_then = (np.full(len(times), part) for part in self.newest)
            return Passed(self.now, self.newest, newest, produced_then)
        name = f"{topic}[{partition}]"
        known = np.maximum.accumulate(np.append(self._partitions.get(name, (0, 0, 0))[0], times))
        far = (
            not self.now
            or times.max() > self.now + FAR_MS
            or max(produced.max(), self.newest[1]) >> _TIME_BITS
        )
        if far or (produced < np.maximum(known[:-1] - LATE_MS, 0)).any() or len(times) > _MOST:
            return None
        newest, of_newest = _running((times, produced), self.newest)
        end = int(newest[-1]), int(of_newest[-1])
        now = max(self.now, int(known[-1]))
        return Passed(now, end, newest[:-1], of_newest[:-1], name, int(known[-1]))

    def pass_to(self, passed: Passed) -> None:
        """Show what `after_all` returned."""
        self.now, self.newest = passed.now, passed.newest
        if passed.partition is not None:
            self._partitions[passed.partition] = passed.newest_of_partition, 0, 0

    def _move(self, partition: str, event_time: int, produced: int) -> None:
        newest, behind, ahead = self._partitions.get(partition, (0, 0, 0))
        if self.now and event_time > self.now + FAR_MS and not 0 < ahead <= produced + LATE_MS:
            self._partitions[partition] = newest, behind, produced
        elif produced >= newest - LATE_MS:
            self._partitions[partition] = max(newest, event_time), 0, 0
            self.now = max(self.now, event_time)
            self.newest = max(self.newest, (event_time, produced))
        elif 0 < behind < produced:
            self._partitions[partition] = event_time, 0, 0
            self.now = max(time for time, _, _ in self._partitions.values())
            self.newest = self.now, produced
        else:
            self._partitions[partition] = newest, produced, 0

    def tick(self, wall: int) -> int:
        """Return what the clock shows once a tick of the wall's clock is read, in epoch milliseconds.

        It does not start with a tick: it is 0 until the market's first record.
        """
        if self.now:
            self.now = max(self.now, running(*self.newest, wall))
        return self.now

    def to_state(self) -> dict[str, object]:
        """Return the state, JSON-able."""
        return {name: list(times) for name, times in self._partitions.items()}

    def restore(self, now: int, state: Json, newest: Sequence[int] = (0, 0)) -> None:
        """Continue from a saved state; an older one has no partitions, or no newest record."""
        self.now = now
        self.newest = (newest[0], newest[1])
        self._partitions = {name: (newest, behind, ahead) for name, (newest, behind, ahead) in state.items()}


def _running(
    read: tuple[NDArray[np.int64], NDArray[np.int64]], newest: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the newest of all (event time, production) so far, from what was the newest before on."""
    times, produced = (np.append(before, column) for before, column in zip(newest, read, strict=True))
    highest = np.maximum.accumulate(times)
    step = np.append(0, np.cumsum(highest[1:] != highest[:-1])) << _TIME_BITS
    of_highest = np.maximum.accumulate(np.where(times == highest, produced, 0) + step) - step
    return highest, of_highest
