"""What the three streams share: recover, run a batch, and beside the batches keep the state, the table and
the lag.

Recovery. The state names the batch it was taken after. Batches that Spark committed since are applied again,
silently, with the boundaries Spark recorded; the batch that was in flight is run again by Spark and publishes
the same ids as before. So a kill -9 at any moment loses nothing, and what it repeats is known by its id.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from margin_platform import durable_state
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import DEAD_LETTER, Event
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.outcome import Messages
from spark import checkpoint, kafka_source, progress
from spark.tables.sink import TableSink
from spark.tables.waiting_rows import WaitingRows

log = logging.getLogger(__name__)
_TICK_SECONDS = 0.5
_SAVING_SHARE = 0.02  # at most this share of the time goes into saving state, however large the book


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


class Stream(ABC):
    """One stream. A subclass names it and its topics, and defines what a batch does."""

    name: str
    topics: tuple[str, ...]
    # records that retention deleted unread: an error, unless the stream declares that it can do without them
    may_miss = False

    def __init__(self, settings: StreamSettings, sink: TableSink) -> None:
        self.settings = settings
        self.sink = sink
        self.bus = Bus(settings.bootstrap)
        self.folder = settings.checkpoint / self.name
        self.event_time = 0
        self.failure: Exception | None = None
        self.dead_letters = 0  # since the start
        # notified of each micro-batch
        self.listeners: list[Callable[[progress.Figures], None]] = [progress.report]
        self._rows = WaitingRows()
        self._batch = -1
        self._base = 0
        self._lag = 0
        self._unsaved = False
        self._save_due = self._table_due = time.monotonic()
        self._busy = threading.Lock()
        self._ended = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name=f"{self.name}-keeper", daemon=True)

    # -- what a subclass defines

    @abstractmethod
    def next_offset(self) -> dict[str, dict[int, int]]:
        """Return the next offset to apply, by topic and partition."""

    @abstractmethod
    def take(self, records: list[Record], batch_id: int, *, publish: bool) -> int:
        """Apply records, publish what follows if `publish`; gather rows; return how many rows the table
        gains.

        The same records as the same batch lead to the same events; records applied before are skipped.
        """

    def prepare(self) -> None:  # noqa: B027 - a hook most streams do without
        """Prepare the stream once the state is restored and before the first batch."""

    def idle(self) -> None:  # noqa: B027 - as above
        """Publish what a rate limit held back; called about twice a second between batches."""

    @abstractmethod
    def to_state(self) -> dict[str, object]:
        """Return what `restore` needs to continue from here, as plain JSON."""

    @abstractmethod
    def restore(self, state: Json) -> None:
        """Restore a state that `to_state` gave."""

    def restate(self) -> None:  # noqa: B027 - as above
        """Have the next batch publish again what followed from earlier ones and may be lost."""

    def oldest_input_seconds(self) -> float | None:
        """Return the age of the oldest price in use against the event clock, in seconds of trading; None
        where the stream uses none.
        """
        return None

    def gather(self, events: Messages, batch_id: int) -> None:
        """Keep events for the table; a later one of the same key replaces one if that comes before the next
        write.
        """
        self._rows.put(events.keys, events.texts, self._base + batch_id)

    def refuse(self, letter: Event) -> None:
        """Publish a dead letter and count it."""
        self.bus.produce(DEAD_LETTER, letter)
        self.dead_letters += 1

    # -- what it shows of itself

    @property
    def table(self) -> str:
        return self.sink.name

    @property
    def lag(self) -> int:
        """Records of its topics not yet read, as counted about twice a second."""
        return self._lag

    def saved(self) -> durable_state.Saved | None:
        """Return the newest saved state."""
        return durable_state.newest(self.folder)

    # -- the life of a stream

    def forget(self) -> None:
        """Drop the checkpoint and the state: `recover` then begins with the topics' first records.

        The table is kept.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        log.warning("%s: rebuilding from the topics", self.name)

    def recover(self) -> None:
        """Return to where the last committed batch left the stream, from the newest state and Kafka."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._base = self._table_base()
        state = durable_state.load(self.folder)
        if state is not None:
            try:
                self.restore(state["stream"])
            except ValueError as error:
                raise durable_state.StateRefused(f"{self.name}: {error}") from error
            self._batch = state["batch"]
            self._rows.restore(state["rows"])
        again = checkpoint.committed_after(self.folder / "spark", self._batch)
        for batch_id, end in again:
            self.take(self._read_until(end), batch_id, publish=False)
            self._batch = batch_id
        self._rows.forget_up_to(self.sink.written_batch())
        if state is not None or again:
            log.info(
                "%s: at batch %d again, %d of them applied again from Kafka",
                self.name,
                self._batch,
                len(again),
            )
        self.prepare()
        self._lag = self._unread()
        self._unsaved = bool(again)

    def _unread(self) -> int:
        return progress.lag(self.bus, {topic: dict(self.next_offset()[topic]) for topic in self.topics})

    def _read_until(self, end: checkpoint.Offsets) -> list[Record]:
        """Read a committed batch again. StateRefused where retention has deleted a part of it."""
        at = self.next_offset()
        for topic, parts in end.items():
            unread = {p: at[topic].get(p, 0) for p, stop in parts.items() if at[topic].get(p, 0) < stop}
            if not self.may_miss and (lost := self.bus.lost(topic, unread)):
                raise durable_state.StateRefused(
                    f"{self.name}: {lost}: deleted by retention before it was saved; --rebuild begins with "
                    "what is kept"
                )
        return [
            record
            for topic, parts in end.items()
            for partition, stop in parts.items()
            if stop > (first := at[topic].get(partition, 0))
            for record in self.bus.read_range(topic, partition, first, stop)
        ]

    def _table_base(self) -> int:
        """Return the first batch number: each checkpoint counts from 0; a new checkpoint over an old table
        counts on from the table.
        """
        marker = self.folder / "table-base"
        if not marker.exists():
            marker.write_text(str(self.sink.written_batch() + 1), encoding="utf-8")
        return int(marker.read_text(encoding="utf-8"))

    def start(self, session: SparkSession) -> StreamingQuery:
        """Start the query; call `recover` first."""
        self._keeper.start()
        return (
            kafka_source.stream(session, self.settings.bootstrap, self.topics, may_miss=self.may_miss)
            .writeStream.queryName(self.name)
            .option("checkpointLocation", str(self.folder / "spark"))
            .trigger(processingTime=f"{self.settings.trigger_ms} milliseconds")
            .foreachBatch(self.batch)
            .start()
        )

    def batch(self, frame: DataFrame, batch_id: int) -> None:
        """Process a batch for foreachBatch: everything published is with the broker before Spark commits the
        batch."""
        started = time.monotonic()
        records = kafka_source.records(frame)
        with self._busy:
            produced = self.take(records, batch_id, publish=True)
            self.bus.flush()
            self._batch, self._unsaved = batch_id, True
        figures = progress.figures(self, batch_id, records, produced, started)
        for listener in self.listeners:
            listener(figures)

    def close(self) -> None:
        """Save what is left and release the resources, after the query has ended. The next start continues
        from here."""
        self._ended.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self._write_table()
        self._save()
        self.bus.close()

    # -- beside the batches, so that none waits for a file

    def _keep(self) -> None:
        while not self._ended.wait(_TICK_SECONDS):
            try:
                self._tick()
            except Exception as error:  # noqa: BLE001 - whatever it is, the driver must end with it, not run on without a table
                log.exception("%s: its table or state cannot be kept", self.name)
                self.failure = error
                return

    def _tick(self) -> None:
        with self._busy:  # report failed deliveries here, so that no batch waits for them
            self.idle()
            self.bus.flush()
        now = time.monotonic()
        if now >= self._table_due:
            self._write_table()
            self._table_due = now + self.settings.table_seconds
        if now >= self._save_due:
            self._save()
        self._lag = self._unread()

    def _write_table(self) -> None:
        """Append the gathered rows; the table knows the newest batch in it."""
        with self._busy:
            rows = self._rows.all()
        if not rows:
            return
        self.sink.append([row.text for row in rows.values()], max(row.batch for row in rows.values()))
        with self._busy:
            self._rows.forget(rows)

    def _save(self) -> None:
        if not self._unsaved:
            return
        started = time.monotonic()
        with self._busy:
            state = durable_state.dump(
                {"batch": self._batch, "rows": self._rows.to_state(), "stream": self.to_state()}
            )
            batch, self._unsaved = self._batch, False
        durable_state.save(self.folder, self._base + batch, state)
        now = time.monotonic()
        self._save_due = now + max(self.settings.state_seconds, (now - started) / _SAVING_SHARE)
