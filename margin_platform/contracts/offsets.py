"""Messages and positions in Kafka: one record, its offset, and a range of offsets of one partition."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple


class Record(NamedTuple):
    """One message as it stands in its partition."""

    topic: str
    partition: int
    offset: int
    key: str | None
    value: bytes | None
    timestamp_ms: int


def not_after_now(timestamp_ms: int) -> int:
    """Return a record's time, at most the reader's own clock: the producer's may be fast."""
    return min(timestamp_ms, int(time.time() * 1000))


class Source(NamedTuple):
    """Where an event stood: the cause of what is decided on it."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Span(NamedTuple):
    """Offsets start <= o < end of one partition. topic_id: Kafka's id of the topic, where it is known."""

    topic: str
    partition: int
    start: int
    end: int
    topic_id: str | None = None

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] {self.start}-{self.end}"


class TopicRecreated(RuntimeError):
    """The topic is not the one whose offsets are remembered: reading on would skip events silently."""


def spans_over(sources: Iterable[tuple[str, int, int]]) -> list[Span]:
    """Return the smallest span of each partition that holds all of its sources."""
    offsets: dict[tuple[str, int], list[int]] = {}
    for topic, partition, offset in sources:
        offsets.setdefault((topic, partition), []).append(offset)
    return [Span(*where, min(found), max(found) + 1) for where, found in offsets.items()]
