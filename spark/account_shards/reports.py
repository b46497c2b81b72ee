"""What a shard says of itself after each batch, on its way from the Python worker to the driver."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Sequence, Sized
from typing import Protocol, TypedDict

from pyspark.accumulators import Accumulator, AccumulatorParam
from typing_extensions import override


class ShardReport(TypedDict):
    """A shard after a batch.

    events: published by topic, and cold: how often its engine was read from the store; both since the query's
    start. produced: when Kafka got its newest record, 0 where it read none. state_bytes: of its snapshot and
    the records since. where: the Python worker that holds it.
    """

    batch: int
    events: dict[str, int]
    cold: int
    state_bytes: int
    event_time: int
    produced: int
    oldest_input_seconds: float | None
    where: str


class Reporting(Protocol):
    """What an engine tells of itself."""

    @property
    def event_time(self) -> int: ...
    def oldest_input_seconds(self) -> float | None: ...


def report_of(
    engine: Reporting,
    batch: int,
    produced: int,
    published: Sequence[tuple[str, Sized]],
    *,
    cold: bool,
    state_bytes: int,
) -> ShardReport:
    """Return what is to be said of one batch."""
    return {
        "batch": batch,
        "events": {topic: len(messages) for topic, messages in published if len(messages)},
        "cold": int(cold),
        "state_bytes": state_bytes,
        "event_time": engine.event_time,
        "produced": produced,
        "oldest_input_seconds": engine.oldest_input_seconds(),
        "where": f"{socket.gethostname()}:{os.getpid()}",
    }


class ByShard(AccumulatorParam[dict[int, ShardReport]]):
    """The newest report of each shard, its counts added up."""

    @override
    def zero(self, value: dict[int, ShardReport]) -> dict[int, ShardReport]:
        """Return no report."""
        return {}

    @override
    def addInPlace(
        self, value1: dict[int, ShardReport], value2: dict[int, ShardReport]
    ) -> dict[int, ShardReport]:
        """Put the second's reports over the first's."""
        for shard, report in value2.items():
            before = value1.get(shard)
            value1[shard] = report if before is None else _after(before, report)
        return value1


def _after(before: ShardReport, report: ShardReport) -> ShardReport:
    events = Counter(before["events"]) + Counter(report["events"])
    return {
        **report,
        "events": dict(events),
        "cold": before["cold"] + report["cold"],
        "produced": max(before["produced"], report["produced"]),
    }


def add(reports: Accumulator[dict[int, ShardReport]], shard: int, report: ShardReport) -> None:
    """Send a shard's report on; what a task that fails has added is dropped by Spark."""
    reports.add({shard: report})
