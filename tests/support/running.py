"""The streams inside the test's own Spark session:
started, driven to the end of their topics, stopped, started again.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, VOLATILITY
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from spark import stream_query
from spark.account_shards import query
from spark.progress import Figures
from spark.tables import query as tables
from tests.support.shard_state import margin_engine
from tests.support.waiting import wait_for

TOPICS = {"margin_snapshots": MARGIN_CALC, "volatility": VOLATILITY, "firm_exposure": FIRM_RISK}


class Running:
    """The margin stream of one shard, and the tables, driven to the end of their topics."""

    def __init__(self, session: SparkSession, bus: Bus, work: Path) -> None:
        self.session, self.bus, self.work = session, bus, work
        self.policy = current_policy()
        self.told: list[Figures] = []
        self.margin: stream_query.Running | None = None

    @property
    def place(self) -> query.Place:
        return query.Place(self.session, self.bus.bootstrap, str(self.work / "checkpoints"))

    def start(self) -> stream_query.Running:
        """Start the query of the margin; it goes on from its checkpoint."""
        start = partial(query.margin_snapshots, self.place, self.policy, 1)
        self.margin = stream_query.Running(start, TOPICS)
        self.margin.listeners = [self.told.append]
        return self.margin

    def drain(self) -> None:
        """Wait for the batch that has read all that stands on the topics now."""
        ends = {topic: self.bus.end_offsets(topic) for topic in TOPICS_IN_ORDER}
        wait_for(lambda: self._has_read(ends), "the end of the topics")

    def _has_read(self, ends: dict[str, dict[int, int]]) -> bool:
        assert self.margin is not None
        if not self.margin.query.isActive and not self.margin.started_again():
            raise AssertionError(self.margin.failure)
        last = self.margin.query.lastProgress
        if last is None:
            return not any(end for parts in ends.values() for end in parts.values())
        self.margin.tell()  # of that batch at the least: a caller who waited reads what was told of it
        read = {t: parts for end in stream_query._ends(last, "endOffset") for t, parts in end.items()}
        return all(
            read.get(topic, {}).get(str(partition), 0) >= end
            for topic, parts in ends.items()
            for partition, end in parts.items()
        )

    def stop(self) -> None:
        if self.margin is not None:
            self.margin.query.stop()

    def engine(self) -> MarginEngine:
        """What a restart would continue with."""
        return margin_engine(self.session, self.work / "checkpoints")

    def write_tables(self) -> None:
        """Append to the tables what stands on the topics of figures."""
        written = tables.start(self.place, str(self.work / "tables"), trigger_ms=0)
        try:
            written.processAllAvailable()
        finally:
            written.stop()
