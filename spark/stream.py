"""What the three streams share: recover from durable state, run a batch, keep the state, stop after the batch in flight."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from margin_platform.bus import Bus, Record
from margin_platform.policy import Policy
from spark import durable_state, kafka_source, progress
from spark.table_sink import TableSink

log = logging.getLogger(__name__)
_LAG_SECONDS = 1.0


@dataclass(frozen=True)
class StreamSettings:
    """Where a stream reads and writes, and how often it writes what is not a decision.

    checkpoint: folder of Spark's offsets and of the stream's own state; tables: folder of the Delta tables.
    """

    bootstrap: str
    checkpoint: Path
    tables: str
    policy: Policy
    trigger_ms: int = 100
    state_seconds: float = 5.0
    table_seconds: float = 10.0


class Stream:
    """One stream. A subclass names it and its topics, and says what a batch does."""

    name: str
    topics: tuple[str, ...]

    def __init__(self, settings: StreamSettings, sink: TableSink) -> None:
        self.settings = settings
        self.sink = sink
        self.bus = Bus(settings.bootstrap)
        self.folder = settings.checkpoint / self.name
        self.stopping = False
        self.event_time = 0
        self._busy = threading.Lock()
        self._saved_at = self._lagged_at = time.monotonic()
        self._lag = 0
        self._base = 0

    # -- what a subclass says

    def next_offset(self) -> dict[str, dict[int, int]]:
        """Next offset to apply, by topic and partition: the truth about what this stream has read."""
        raise NotImplementedError

    def take(self, records: list[Record], batch_id: int) -> int:
        """Applies records and publishes what follows; returns how many rows the table gains. Must be harmless when repeated."""
        raise NotImplementedError

    def write_table(self, version: int) -> None:
        """Appends what has gathered to the table, as this version."""

    def to_state(self) -> dict[str, Any]:
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        raise NotImplementedError

    # -- the life of a stream

    def recover(self) -> None:
        """Loads the newest state and applies what Kafka has beyond it: from then on the stream is where it was, or further."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._base = self._table_base()
        state = durable_state.load(self.folder)
        if state is None:
            return
        self.restore(state)
        missed = [
            record
            for topic, parts in self.next_offset().items()
            for partition, end in self.bus.end_offsets(topic).items()
            if end > parts.get(partition, 0)
            for record in self.bus.read_range(topic, partition, parts.get(partition, 0), end)
        ]
        log.info("%s: recovered its state; %d records came meanwhile", self.name, len(missed))
        if missed:
            self.take(missed, -1)
        self.bus.flush()
        self.save(0)

    def _table_base(self) -> int:
        """Batches are numbered from 0 by each checkpoint; a new checkpoint over an old table counts on from the table."""
        marker = self.folder / "table-base"
        if not marker.exists():
            marker.write_text(str(self.sink.written_version() + 1), encoding="utf-8")
        return int(marker.read_text(encoding="utf-8"))

    def batch(self, frame: DataFrame, batch_id: int) -> None:
        """foreachBatch: decisions leave before the state that contains them is saved, so a crash repeats and never loses them."""
        with self._busy:
            if self.stopping:
                return   # not applied, and therefore read again by `recover`: Spark's own commit is not the truth
            started = time.monotonic()
            records = kafka_source.records(frame)
            produced = self.take(records, batch_id)
            self.bus.flush()
            self._write(batch_id)
            progress.report(progress.line(self.name, batch_id, records, produced, started, self.event_time, lag=self._current_lag()))

    def _write(self, batch_id: int) -> None:
        now = time.monotonic()
        self.write_table(self._base + batch_id)
        if now - self._saved_at >= self.settings.state_seconds:
            self.save(batch_id)

    def save(self, batch_id: int) -> None:
        durable_state.save(self.folder, self._base + batch_id, self.to_state())
        self._saved_at = time.monotonic()

    def _current_lag(self) -> int:
        now = time.monotonic()
        if now - self._lagged_at >= _LAG_SECONDS:
            self._lag, self._lagged_at = progress.lag(self.bus, self.next_offset()), now
        return self._lag

    def start(self, session: SparkSession) -> StreamingQuery:
        """Starts the query; `recover` first."""
        return (
            kafka_source.stream(session, self.settings.bootstrap, self.topics)
            .writeStream.queryName(self.name)
            .option("checkpointLocation", str(self.folder / "spark"))
            .trigger(processingTime=f"{self.settings.trigger_ms} milliseconds")
            .foreachBatch(self.batch)
            .start()
        )

    def stop(self) -> None:
        """Waits for the batch in flight, keeps its state, and takes no further batch."""
        self.stopping = True
        with self._busy:
            if any(self.next_offset().values()):
                durable_state.save(self.folder, self._final_version(), self.to_state())
            self.bus.close()

    def _final_version(self) -> int:
        saved = sorted(self.folder.glob("state-*.json"))
        return int(saved[-1].stem.removeprefix("state-")) + 1 if saved else self._base
