"""The intake: one thread that reads the output topics into the desk, and knows how far behind it is.

It keeps its own assigned consumer instead of `Bus.poll`, because it follows eight topics at once for as long as it lives:
one fetch session for all partitions, no seek between reads. Offsets are its own; nothing is committed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from margin_platform.dashboard.desk import Desk
from margin_platform.dashboard.health import Feed
from margin_platform.events import (
    FIRM_RISK,
    LIQUIDATION_ORDERS,
    MARGIN_CALC,
    MARGIN_CALLS,
    MARGIN_STATUS,
    NOTIFICATIONS,
    RESTRICTIONS,
    STRESS,
    BadEvent,
    Event,
    decode,
)

TOPICS = (MARGIN_STATUS, MARGIN_CALC, STRESS, FIRM_RISK, MARGIN_CALLS, RESTRICTIONS, LIQUIDATION_ORDERS, NOTIFICATIONS)
_BATCH = 5_000          # records applied under one sequence number; bounds how long readers wait for the lock
_POLL_MS = 50
_PROBE_SECONDS = 1.0    # how often the broker is asked where its topics end
_RETRY_SECONDS = 1.0
_log = logging.getLogger(__name__)


class Intake:
    """Reads until stopped. A broker that cannot be reached, or a topic that is missing, is tried again for ever and shown.

    history: records read back per partition at the start; older ones have been overtaken long since.
    """

    def __init__(self, bootstrap: str, desk: Desk, feed: Feed, now_ms: Callable[[], int], *, history: int = 200_000) -> None:
        self.bootstrap, self.desk, self.feed, self.history, self._now_ms = bootstrap, desk, feed, history, now_ms
        self._stop = threading.Event()
        self._positions: dict[TopicPartition, int] = {}
        self._thread = threading.Thread(target=self._run, name="dashboard-intake", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.is_set():
            consumer = None
            try:
                consumer = self._connect()
                self._follow(consumer)
            except (KafkaError, OSError, LookupError) as error:
                self.feed.broken(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, self._now_ms())
                self._stop.wait(_RETRY_SECONDS)
            finally:
                if consumer is not None:
                    consumer.close(timeout_ms=1_000)

    def _connect(self) -> KafkaConsumer:
        consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest",
            max_poll_records=_BATCH, fetch_max_wait_ms=_POLL_MS, max_partition_fetch_bytes=4_194_304, bootstrap_timeout_ms=3_000,
            request_timeout_ms=5_000, metadata_max_age_ms=5_000,
        )
        self._assign(consumer)
        return consumer

    def _assign(self, consumer: KafkaConsumer) -> None:
        """Every partition of every topic that exists, each where this intake last stood, or `history` back from its end."""
        wanted = [TopicPartition(t, p) for t in TOPICS for p in sorted(consumer.partitions_for_topic(t) or ())]
        if not wanted:
            raise LookupError(f"none of the topics exists at {self.bootstrap}")
        first, last = consumer.beginning_offsets(wanted), consumer.end_offsets(wanted)
        consumer.assign(wanted)
        for partition in wanted:
            start = self._positions.get(partition, last[partition] - self.history)
            consumer.seek(partition, min(max(start, first[partition]), last[partition]))

    def _follow(self, consumer: KafkaConsumer) -> None:
        probed = 0.0
        while not self._stop.is_set():
            polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_BATCH)
            if polled:
                self._take(polled)
            if time.monotonic() - probed >= _PROBE_SECONDS:
                probed = time.monotonic()
                self._probe(consumer)

    def _probe(self, consumer: KafkaConsumer) -> None:
        assigned = consumer.assignment()
        ends = consumer.end_offsets(list(assigned))
        self.feed.behind(sum(max(0, ends[tp] - self._positions.get(tp, consumer.position(tp))) for tp in assigned), self._now_ms())
        if len({tp.topic for tp in assigned}) < len(TOPICS) and any(
            consumer.partitions_for_topic(t) for t in TOPICS if t not in {tp.topic for tp in assigned}
        ):
            self._assign(consumer)

    def _take(self, polled: dict[TopicPartition, list[Any]]) -> None:
        batch: list[tuple[str, int, Event]] = []
        newest = 0
        for partition, records in polled.items():
            for record in records:
                try:
                    batch.append((partition.topic, partition.partition, decode(partition.topic, record.value)))
                except BadEvent as error:
                    self.desk.bad_events += 1
                    _log.warning("%s[%s]@%s refused: %s", partition.topic, partition.partition, record.offset, error)
                if partition.topic in (MARGIN_CALC, MARGIN_STATUS):
                    newest = max(newest, record.timestamp)
            self._positions[partition] = records[-1].offset + 1
        self.desk.apply(batch)
        if newest:
            self.feed.received(newest, self._now_ms())
