"""How far each partition is read: what is left, up to when the page knows, and which topics cannot be read
at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

Place = tuple[str, int]  # topic and partition


class Reading:
    """Positions of the partitions a reader follows: `next` is the offset to read next.

    Times are wall-clock epoch milliseconds.
    """

    def __init__(self) -> None:
        self.next: dict[Place, int] = {}
        self._end: dict[Place, int] = {}  # the highest offset heard of
        self._written: dict[Place, int] = {}  # Kafka's time of the newest record read
        self._caught_up: dict[Place, int] = {}  # when nothing was left to read
        self._failing: dict[Place, str] = {}

    def begin(self, place: Place, first: int, last: int, start: int) -> int:
        """Return where to read on between the partition's offsets `first` and `last`: where it last stood,
        else at `start`.
        """
        self.next[place] = min(max(self.next.get(place, start), first), last)
        self._end[place] = last
        self._failing.pop(place, None)
        return self.next[place]

    def read(self, place: Place, offset: int, written: int) -> None:
        """Note that a record was read, written to Kafka at `written`."""
        self.next[place], self._written[place] = offset + 1, written
        self._failing.pop(place, None)

    def passed(self, place: Place, offset: int) -> None:
        """Note that the partition ends here: past what is no record, a transaction's marker."""
        self.next[place] = offset
        self._failing.pop(place, None)

    def failed(self, place: Place, error: str) -> None:
        self._failing[place] = error

    def heard(self, place: Place, end: int, now: int) -> None:
        """Return the partition's end as the broker last reported it; below zero: nothing fetched yet."""
        self._end[place] = max(end, self._end.get(place, 0))
        if self.left(place) == 0:
            self._caught_up[place] = now

    def left(self, place: Place) -> int:
        """Count the records of a partition not yet read."""
        return max(0, self._end.get(place, 0) - self.next.get(place, 0))

    def has_read(self, ends: dict[Place, int], topics: Collection[str]) -> bool:
        """Report whether the partitions of these topics are read up to these ends."""
        return all(self.next[place] >= end for place, end in ends.items() if place[0] in topics)

    def known_up_to(self, places: Iterable[Place]) -> int | None:
        """Return the time up to which everything in these partitions is known; 0 where one was never read;
        None where nothing is left.

        A partition with something left is known up to its newest record read, or up to when it last had
        nothing left: the record that has just come after a quiet hour does not make the hour unknown.
        """
        behind = [
            max(self._written.get(place, 0), self._caught_up.get(place, 0))
            for place in places
            if self.left(place)
        ]
        return min(behind, default=None)

    def failing(self) -> dict[str, str]:
        """Return the broker's error for each topic that it refuses to serve."""
        return {topic: error for (topic, _), error in self._failing.items()}
