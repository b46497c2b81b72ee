"""Kafka, simulated: topics in memory, whose broker can be away, and one connection for each process.

A record's time is that of its arrival, as with LogAppendTime. What a process has produced and not flushed is
half at the broker when it dies, as with librdkafka.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

from margin_platform.contracts.messages import TOPICS, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.event_log import missing
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.processes import Died, Processes
from margin_platform.snapshots.input_records import CLOCK

_ADDRESS = "simulated:9092"


class Topics:
    """The broker's topics."""

    def __init__(self, agenda: Agenda) -> None:
        """Begin empty."""
        self._agenda = agenda
        self.away_until = 0
        partitions = {name: topic.partitions for name, topic in TOPICS.items()} | {CLOCK: 1}
        self._logs: dict[str, list[list[Record]]] = {
            name: [[] for _ in range(count)] for name, count in partitions.items()
        }
        self._oldest: dict[tuple[str, int], int] = {}
        # what happens to a topic in the next reading of a span of it
        self.when_read: dict[str, Callable[[], None]] = {}

    @property
    def is_away(self) -> bool:
        return self._agenda.now < self.away_until

    def partitions(self, topic: str) -> list[list[Record]]:
        """Return all that was ever in each partition, deleted records too."""
        return self._logs[topic]

    def oldest(self, topic: str, partition: int) -> int:
        """Return the oldest offset that is kept, the next one where none is."""
        return self._oldest.get((topic, partition), 0)

    def delete(self, topic: str, partition: int, until: int) -> None:
        """Delete the records of before an offset, as retention does."""
        self._oldest[topic, partition] = max(until, self.oldest(topic, partition))

    def append(self, topic: str, key: str | None, value: bytes | None) -> None:
        """Put a record at the end of its key's partition."""
        logs = self._logs[topic]
        partition = zlib.crc32((key or "").encode()) % len(logs)
        log = logs[partition]
        log.append(Record(topic, partition, len(log), key, value, self._agenda.now))

    def send(self, topic: str, event: Event) -> None:
        """Put an event of another system onto its topic."""
        self.append(topic, str(event[TOPICS[topic].key]), encode(event))


class Connection:
    """One process's connection; answers as `Bus` does."""

    def __init__(self, topics: Topics, processes: Processes) -> None:
        """Open nothing."""
        self._topics, self._processes = topics, processes
        self._unsent: list[tuple[str, str, bytes]] = []

    def _logs(self, topic: str) -> list[list[Record]]:
        if self._topics.is_away:
            raise BrokerUnreachable(_ADDRESS)
        return self._topics.partitions(topic)

    def produce(self, topic: str, event: Event, key: str | None = None) -> None:
        """Queue an event."""
        self.produce_raw(topic, encode(event), key or str(event[TOPICS[topic].key]))

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        """Queue an encoded event."""
        self._unsent.append((topic, key or "", value))

    def produce_many(self, topic: str, values: Sequence[bytes], keys: Sequence[str]) -> None:
        """Queue encoded events of one topic."""
        self._unsent += [(topic, key, value) for key, value in zip(keys, values, strict=True)]

    def flush(self) -> None:
        """Deliver what is queued."""
        if not self._unsent:
            return
        self._logs(self._unsent[0][0])
        try:
            self._processes.reach("before its messages are acknowledged")
        except Died:
            self._deliver(len(self._unsent) // 2)
            raise
        self._logs(self._unsent[0][0])  # it may have gone away while the process stalled
        self._deliver(len(self._unsent))
        self._processes.reach("after its messages are acknowledged")

    def _deliver(self, count: int) -> None:
        if not self._topics.is_away:
            for sent in self._unsent[:count]:
                self._topics.append(*sent)
        self._unsent = self._unsent[count:]

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, by partition."""
        return {number: len(log) for number, log in enumerate(self._logs(topic))}

    def beginning_offsets(self, topic: str) -> dict[int, int]:
        """Return the oldest offset still kept, by partition."""
        return {number: self._topics.oldest(topic, number) for number in range(len(self._logs(topic)))}

    def topic_id(self, topic: str) -> str | None:
        """Return the id of a topic."""
        self._logs(topic)
        return f"simulated-{topic}"

    def lost(self, topic: str, positions: Mapping[int, int]) -> str | None:
        """Return what retention deleted from these next offsets on."""
        return missing(topic, positions, self.beginning_offsets(topic))

    def poll(
        self, topic: str, positions: dict[int, int], timeout_s: float, max_records: int = 10_000
    ) -> list[Record]:
        """Return what there is from these next offsets on; nothing is waited for, and what was deleted is
        passed over.
        """
        logs = self._logs(topic)
        begins = {n: max(offset, self._topics.oldest(topic, n)) for n, offset in sorted(positions.items())}
        return [record for n, first in begins.items() for record in logs[n][first:]][:max_records]

    def read_range(self, topic: str, partition: int, start: int, end: int) -> list[Record]:
        """Return every record of a partition with start <= offset < end, but those that were deleted."""
        log = self._logs(topic)[partition]
        if start < end and (happens := self._topics.when_read.pop(topic, None)):
            happens()
        found = log[max(start, self._topics.oldest(topic, partition)) : end]
        self._processes.reach("after it has read its events")
        return found
