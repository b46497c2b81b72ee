"""The streams inside the test's own Spark session:
started, driven to the end of their topics, stopped, started again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql.streaming import StreamingQuery

from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from spark.stream import Stream, StreamSettings


class Running:
    """Streams of one test, driven to the end of their topics instead of waited for."""

    def __init__(self, session: SparkSession, bus: Bus, work: Path) -> None:
        self.session, self.bus = session, bus
        self.settings = StreamSettings(
            bus.bootstrap,
            work / "checkpoints",
            str(work / "tables"),
            current_policy(),
            state_seconds=0,
            table_seconds=0,
        )
        self.streams: list[tuple[Stream, StreamingQuery]] = []

    def start(self, kind: Callable[[StreamSettings], Any]) -> Any:
        stream = kind(self.settings)
        stream.recover()
        self.streams.append((stream, stream.start(self.session)))
        return stream

    def drain(self) -> None:
        for _, query in self.streams:
            query.processAllAvailable()

    def stop(self) -> None:
        for stream, query in self.streams:
            query.stop()
            stream.close()
        self.streams.clear()
