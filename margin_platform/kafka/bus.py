"""The bus: the one place that speaks Kafka from Python. Offsets are the caller's, never a consumer group's.

Reading is kafka-python's; writing is librdkafka's (see `writer`).

Every reader names the offsets it needs, so that a sensor's cursor, a stream's checkpoint or a re-executed run
is the only truth about what was read. Waits are bounded, and an unreachable broker is one clear error with
its address.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, TypeVar

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import RetriableError

from margin_platform.contracts.messages import TOPICS, Event, encode
from margin_platform.contracts.offsets import Record, not_after_now
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.event_log import missing
from margin_platform.kafka.writer import Writer
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.settings import settings

for _noisy in ("kafka", "kafka.net", "kafka.client"):
    # it logs every refused connection; BrokerUnreachable reports it once
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)

Answer = TypeVar("Answer")
_CONNECT_SECONDS = 5.0
_MOST_AT_ONCE = 20_000
_LEAST_FETCH, _LARGEST_FETCH = 65_536, 8_388_608  # bytes of a partition that the broker sends at once
_BYTES_A_RECORD = 8_192  # of a span; larger ones are whole all the same, and take more fetches
# How long the broker may hold an answer that has no record in it. What is asked of it next waits for that
# answer; and each costs a millisecond of processor time on both sides.
_HOLD_MS, _HOLD_OF_A_WAIT_MS = 50, 250
# What the client would have tried again: a broker that pauses, restarts, or is not yet the leader. The other
# Kafka errors are raised as they are.
_UNREACHABLE = (RetriableError,)


class Bus:
    """Produces and reads events of one cluster.

    A bus may produce from many threads; each reading call is serialized.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        connect_seconds: float = _CONNECT_SECONDS,
        security: KafkaSecurity | None = None,
    ) -> None:
        """Open nothing yet: the first call connects, and raises BrokerUnreachable where it cannot.

        security: how to log in; None takes the MARGIN_KAFKA_* settings.
        """
        self.bootstrap = bootstrap
        self._security = settings().kafka.security if security is None else security
        self._timeout_ms = int(connect_seconds * 1000)
        self._lock = threading.RLock()
        self._writer = Writer(bootstrap, self._timeout_ms, self._security)
        self._consumer: KafkaConsumer | None = None

    # -- writing

    def produce(self, topic: str, event: Event, key: str | None = None) -> None:
        """Pass an event to the producer, keyed by the topic's key field; `flush` makes sure of delivery."""
        self.produce_raw(topic, encode(event), str(event[TOPICS[topic].key]) if key is None else key)

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        """Produce bytes as they are: for already encoded events, and for tests of bad input."""
        self._writer.write(topic, value, key)

    def produce_many(self, topic: str, values: Sequence[bytes], keys: Sequence[str]) -> None:
        """Produce already encoded events of one topic, in order."""
        self._writer.write_many(topic, values, keys)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Return when every produced event is acknowledged by the broker;
        raises for the first that was not.

        BrokerUnreachable where the broker does not answer in time.
        """
        self._writer.flush(timeout_s)

    # -- reading

    def _open_consumer(self) -> KafkaConsumer:
        if self._consumer is None:
            if self._security.protocol != "PLAINTEXT":
                # says why it is refused; kafka-python ends in the same timeout whatever the reason
                self._writer.open()
            try:
                self._consumer = KafkaConsumer(
                    bootstrap_servers=self.bootstrap,
                    group_id=None,
                    enable_auto_commit=False,
                    auto_offset_reset="none",
                    max_poll_records=_MOST_AT_ONCE,
                    fetch_max_wait_ms=_HOLD_MS,
                    max_partition_fetch_bytes=_LARGEST_FETCH,
                    bootstrap_timeout_ms=self._timeout_ms,
                    **self._security.kafka_python(),
                )
            except _UNREACHABLE as error:
                raise BrokerUnreachable(self.bootstrap) from error
        return self._consumer

    def _partitions(self, topic: str) -> list[TopicPartition]:
        numbers = self._open_consumer().partitions_for_topic(topic)
        if not numbers:
            raise LookupError(f"topic {topic} does not exist at {self.bootstrap}")
        return [TopicPartition(topic, n) for n in sorted(numbers)]

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, by partition."""
        with self._lock:
            return {
                tp.partition: offset
                for tp, offset in self._guard(lambda c: c.end_offsets(self._partitions(topic))).items()
            }

    def beginning_offsets(self, topic: str) -> dict[int, int]:
        """Return the oldest offset still kept, by partition."""
        with self._lock:
            return {
                tp.partition: offset
                for tp, offset in self._guard(lambda c: c.beginning_offsets(self._partitions(topic))).items()
            }

    def topic_id(self, topic: str) -> str | None:
        """Return Kafka's id of a topic, which one created again does not share;
        None where the broker names none.
        """
        with self._lock:
            self._guard(lambda _: self._partitions(topic))
            # kafka-python, pinned, has no public name for it
            found = self._open_consumer()._cluster.topic_id(topic)
            return None if found is None else str(found)

    def lost(self, topic: str, positions: Mapping[int, int]) -> str | None:
        """Return what retention deleted from these next offsets on, as `topic[partition] first-next, ...`;
        None where it is all there.
        """
        return missing(topic, positions, self.beginning_offsets(topic))

    def _guard(self, call: Callable[[KafkaConsumer], Answer]) -> Answer:
        try:
            return call(self._open_consumer())
        except _UNREACHABLE as error:
            raise BrokerUnreachable(self.bootstrap) from error

    def poll(
        self, topic: str, positions: dict[int, int], timeout_s: float, max_records: int = 10_000
    ) -> list[Record]:
        """Read records of a topic from these next offsets on; return with the first that arrive, or empty
        after the timeout.

        `positions` is not changed: the caller moves its cursor when it has acted. Offsets already deleted
        by retention are skipped to the oldest kept: a caller that must not miss any asks `lost` first.
        """
        with self._lock:
            self._guard(lambda _: self._seek(topic, positions))
            self._fetch(_LARGEST_FETCH, _HOLD_OF_A_WAIT_MS if timeout_s >= 1.0 else _HOLD_MS)
            deadline = time.monotonic() + timeout_s
            records: list[Record] = []
            while not records:
                wait = max(0.0, min(0.5, deadline - time.monotonic()))
                ask = methodcaller("poll", timeout_ms=max(60, int(wait * 1000)), max_records=max_records)
                records = _records(self._guard(ask))
                if time.monotonic() >= deadline:
                    break
            return records

    def _seek(self, topic: str, positions: dict[int, int]) -> None:
        consumer = self._open_consumer()
        if self._stands_at(consumer, topic, positions):
            return  # read on: what was fetched ahead is still there
        oldest = self.beginning_offsets(topic)
        wanted = {TopicPartition(topic, p): max(offset, oldest.get(p, 0)) for p, offset in positions.items()}
        consumer.assign(list(wanted))
        for partition, offset in wanted.items():
            consumer.seek(partition, offset)

    @staticmethod
    def _stands_at(consumer: KafkaConsumer, topic: str, positions: dict[int, int]) -> bool:
        wanted = {TopicPartition(topic, p): offset for p, offset in positions.items()}
        return (
            bool(wanted)
            and consumer.assignment() == set(wanted)
            and all(consumer.position(tp) == o for tp, o in wanted.items())
        )

    def _fetch(self, size: int, hold_ms: int) -> None:
        """Let the broker send so many bytes of a partition at once, within bounds, and hold an empty answer
        for so long.
        """
        # kafka-python, pinned, takes them when the consumer is made, and has no public name for a change
        config = self._open_consumer()._fetcher.config
        config["max_partition_fetch_bytes"] = max(_LEAST_FETCH, min(size, _LARGEST_FETCH))
        config["fetch_max_wait_ms"] = hold_ms

    def read_range(
        self, topic: str, partition: int, start: int, end: int, timeout_s: float = 30.0
    ) -> list[Record]:
        """Read every record of a partition with start <= offset < end: what a run with an offset range in its
        config reads.

        TimeoutError where the broker does not deliver them in time. Gaps (compaction, retention: see `lost`)
        are passed over.
        """
        with self._lock:
            self._guard(lambda _: self._seek(topic, {partition: start}))
            self._fetch((end - start) * _BYTES_A_RECORD, _HOLD_MS)  # and little beyond the range
            where = TopicPartition(topic, partition)
            deadline = time.monotonic() + timeout_s
            found: list[Record] = []
            while (position := self._guard(lambda c: c.position(where))) < end:
                # what was fetched ahead of the range is not decoded
                ask = methodcaller("poll", timeout_ms=500, max_records=min(end - position, _MOST_AT_ONCE))
                found += _records(self._guard(ask))
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{topic}[{partition}] {start}-{end}: not read from {self.bootstrap} within "
                        f"{timeout_s:g} s"
                    )
            return [r for r in found if r.offset < end]

    def read_all(self, topic: str) -> Iterator[Record]:
        """Yield every record kept of a topic, as of now, partition by partition."""
        ends, starts = self.end_offsets(topic), self.beginning_offsets(topic)
        for partition, end in ends.items():
            if end > starts[partition]:
                yield from self.read_range(topic, partition, starts[partition], end)

    def latest_by_key(self, topic: str) -> dict[str, Record]:
        """Return the newest record of each key: the state a compacted topic holds."""
        newest: dict[str, Record] = {}
        for record in self.read_all(topic):
            if record.key is not None:
                newest[record.key] = record
        return newest

    def close(self) -> None:
        """Deliver what is left and close every connection."""
        with self._lock:
            self._writer.close()
            if self._consumer is not None:
                self._consumer.close()
            self._consumer = None

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _records(polled: dict[TopicPartition, list[Any]]) -> list[Record]:
    return [
        Record(
            tp.topic,
            tp.partition,
            r.offset,
            None if r.key is None else r.key.decode(errors="replace"),
            r.value,
            not_after_now(r.timestamp),
        )
        for tp, rows in polled.items()
        for r in rows
    ]
