"""A running query as the driver shows it: a line a micro-batch for Dagster, and figures for Prometheus."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime

from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import DEAD_LETTER
from spark import progress
from spark.account_shards.query import Sharded
from spark.account_shards.reports import ShardReport
from spark.progress import Batch, Figures, Saved

log = logging.getLogger("spark.driver")
_NOT_IN_TIME = "Python worker failed to connect back"
_MOST_STARTS = 5
_LAST_BATCH_SECONDS = 15.0  # a driver that is terminated has 30 in all
_LOOK_SECONDS = 0.1
_ASKED_SECONDS = 1.0  # between two questions for the progress of a query without shards


class Running:
    """One query, and how it is started. topics: of each table, the topic whose events are its rows."""

    def __init__(self, start: Callable[[], Sharded | StreamingQuery], topics: dict[str, str]) -> None:
        self._start, self._starts = start, 0
        self._begin()
        self.name: str = self.query.name
        self.listeners: list[Callable[[Figures], None]] = [progress.report]
        self.lag: int | None = None
        self._topics = topics
        self._rows: dict[str, int] = {}
        self._printed = -1
        self._asked_at = 0.0
        self._ended_at = time.time()

    def _begin(self) -> None:
        started = self._start()
        self._sharded = started if isinstance(started, Sharded) else None
        self.query = started.query if isinstance(started, Sharded) else started
        self._starts, self._began = self._starts + 1, False

    def started_again(self) -> bool:
        """Start a query again that ended before its first batch, as its Python process was not there in time.

        Spark 4.2.0 gives that process ten seconds, whatever the settings say; a busy machine may need more.
        """
        slow = _NOT_IN_TIME in str(self.query.exception())
        if self._began or not slow or self._starts >= _MOST_STARTS:
            return False
        log.warning("%s: its Python process was not there in time; starting it again", self.name)
        self._begin()
        return True

    @property
    def failure(self) -> str:
        """Why it ended. Where a state was refused it is that line alone: Spark puts pages around it."""
        said = str(self.query.exception())
        refused = re.search(r"StateRefused: (.+)", said)
        return said if refused is None else refused[1]

    @property
    def keeps_state(self) -> bool:
        """Whether it has shards; a table's query has none."""
        return self._sharded is not None

    @property
    def is_past_its_start(self) -> bool:
        """Whether it has done a batch, waits for records, or has ended."""
        waits = self.query.status["message"].startswith("Waiting")
        return waits or not self.query.isActive or self.query.lastProgress is not None

    @property
    def shards(self) -> dict[int, ShardReport]:
        """What its shards last said of themselves."""
        return {} if self._sharded is None else dict(self._sharded.reports.value)

    @property
    def event_time(self) -> int:
        """The event clock: all shards have one."""
        return max((report["event_time"] for report in self.shards.values()), default=0)

    @property
    def dead_letters(self) -> int:
        return self._events(DEAD_LETTER)

    def oldest_input_seconds(self) -> float | None:
        """Return the age of the oldest price in use, in any shard."""
        ages = [report["oldest_input_seconds"] for report in self.shards.values()]
        return max((age for age in ages if age is not None), default=None)

    def saved(self) -> Saved | None:
        """Return the size of its shards' state, which is saved with each batch."""
        found = self.shards
        if not found:
            return None
        size = sum(report["state_bytes"] for report in found.values())
        return Saved(size, time.time() - self._ended_at)

    def _events(self, topic: str) -> int:
        return sum(report["events"].get(topic, 0) for report in self.shards.values())

    def tell(self) -> None:
        """Tell its listeners of each micro-batch with records that ended since the last call.

        One that only ticks made is left out: input that is silent would pass for a stream that works.
        """
        if self._may_have_news():
            self._tell()

    def _may_have_news(self) -> bool:
        """Return whether to ask Spark: an answer costs its JVM milliseconds, even that there is none.

        Shards report from their tasks, a moment before a batch is done.
        """
        if self._sharded is not None:
            return max((report["batch"] for report in self.shards.values()), default=-1) > self._printed
        now = time.monotonic()
        due = now - self._asked_at >= _ASKED_SECONDS
        self._asked_at = now if due else self._asked_at
        return due

    def _tell(self) -> None:
        for told in self._new():
            self.lag, self._ended_at = _lag(told), time.time()
            if read := sum(source["numInputRows"] for source in _sources(told)):
                figures = self._figures(told, read)
                for listener in self.listeners:
                    listener(figures)

    def stop(self) -> None:
        """Stop the query; a table's after its batch, which would fail if it was interrupted."""
        for _ in range(round(_LAST_BATCH_SECONDS / _LOOK_SECONDS)):
            if self._sharded is not None or not self.query.status["isTriggerActive"]:
                break
            time.sleep(_LOOK_SECONDS)
        self.query.stop()
        self._tell()

    def _new(self) -> Iterator[Json]:
        last = self.query.lastProgress
        if last is None or last["batchId"] <= self._printed:
            return
        # to ask for all of them takes 25 ms
        for found in [last] if last["batchId"] == self._printed + 1 else self.query.recentProgress:
            told = json.loads(json.dumps(found, default=str))
            if told["batchId"] > self._printed and "addBatch" in told["durationMs"]:
                self._printed, self._began = told["batchId"], True
                yield told

    def _figures(self, told: Json, read: int) -> Figures:
        offsets = {topic: parts for end in _ends(told, "endOffset") for topic, parts in end.items()}
        newest = max((report["produced"] for report in self.shards.values()), default=0)
        produced = {table: self._since(table, topic) for table, topic in self._topics.items()}
        took = told["durationMs"].get("triggerExecution", 0)
        batch = Batch(told["batchId"], read, took / 1000, _began(told) + took)
        return progress.figures(self, batch, offsets, newest, produced)

    def _since(self, table: str, topic: str) -> int:
        """Return how many rows a table gained since this was asked last."""
        now = self._events(topic)
        before, self._rows[table] = self._rows.get(table, 0), now
        return now - before


def _began(told: Json) -> int:
    """Return when a batch began, in epoch milliseconds."""
    return round(datetime.fromisoformat(told["timestamp"]).timestamp() * 1000)


def _sources(told: Json) -> list[Json]:
    return [source for source in told["sources"] if "KafkaV2" in source["description"]]


def _ends(told: Json, name: str) -> list[dict[str, dict[str, int]]]:
    """Return the offsets of each of its Kafka sources."""
    found = [source[name] for source in _sources(told)]
    return [end for one in found if (end := json.loads(one) if isinstance(one, str) else one)]


def _lag(told: Json) -> int:
    """Count the records that stood on the topics and were not read when the batch began."""
    read = {
        (t, p): o for end in _ends(told, "endOffset") for t, parts in end.items() for p, o in parts.items()
    }
    latest = _ends(told, "latestOffset")
    return sum(
        max(0, o - read.get((t, p), 0))
        for end in latest
        for t, parts in end.items()
        for p, o in parts.items()
    )
