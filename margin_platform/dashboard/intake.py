"""The intake: one thread that reads the output topics into the desk, and knows how far behind it is.

It keeps a consumer of its own instead of `Bus.poll`, because it follows eight topics at once for as long as it lives; and
librdkafka's, because thousands of figures a second would cost a consumer written in Python a whole core. Offsets are its
own; nothing is committed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from margin_platform.bus import BrokerRefused
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
from margin_platform.kafka_security import LoginErrors
from margin_platform.settings import settings

TOPICS = (MARGIN_STATUS, MARGIN_CALC, STRESS, FIRM_RISK, MARGIN_CALLS, RESTRICTIONS, LIQUIDATION_ORDERS, NOTIFICATIONS)
_BATCH = 5_000          # records applied under one sequence number; bounds how long readers wait for the lock
_POLL_SECONDS = 0.03
_ANSWER_SECONDS = 3.0
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
        self._positions: dict[tuple[str, int], int] = {}   # next offset by topic and partition
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
            except (KafkaException, OSError, LookupError) as error:
                self.feed.broken(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, self._now_ms())
                self._stop.wait(_RETRY_SECONDS)
            finally:
                if consumer is not None:
                    consumer.close()

    def _connect(self) -> Consumer:
        errors = LoginErrors(settings().kafka_security)
        consumer = Consumer(
            settings().kafka_security.librdkafka() | {
                "bootstrap.servers": self.bootstrap, "group.id": "margin-dashboard", "enable.auto.commit": False,
                "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50, "log_level": 0, "error_cb": errors,
            }
        )
        consumer.poll(0)   # hands over the token where one is needed: nothing connects without it
        try:
            self._assign(consumer)
        except KafkaException as error:
            refusal = errors.served(consumer.poll)
            consumer.close()
            if refusal is None:
                raise
            raise BrokerRefused(self.bootstrap, refusal) from error
        return consumer

    def _assign(self, consumer: Consumer) -> None:
        """Every partition of every topic that exists, each where this intake last stood, or `history` back from its end."""
        wanted = _existing(consumer)
        if not wanted:
            raise LookupError(f"none of the topics exists at {self.bootstrap}")
        starts = []
        for topic, partition in wanted:
            first, last = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)
            start = self._positions.get((topic, partition), last - self.history)
            self._positions[topic, partition] = min(max(start, first), last)
            starts.append(TopicPartition(topic, partition, self._positions[topic, partition]))
        consumer.assign(starts)

    def _follow(self, consumer: Consumer) -> None:
        probed = 0.0
        while not self._stop.is_set():
            messages = consumer.consume(_BATCH, _POLL_SECONDS)
            if messages:
                self._take(messages)
            if time.monotonic() - probed >= _PROBE_SECONDS:
                probed = time.monotonic()
                self._probe(consumer)

    def _probe(self, consumer: Consumer) -> None:
        behind = 0
        for (topic, partition), position in self._positions.items():
            _, last = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_SECONDS)
            behind += max(0, last - position)
        self.feed.behind(behind, self._now_ms())
        if len({topic for topic, _ in self._positions}) < len(TOPICS) and len(_existing(consumer)) > len(self._positions):
            self._assign(consumer)

    def _take(self, messages: list[Message]) -> None:
        batch: list[tuple[str, int, Event]] = []
        newest = 0
        for message in messages:
            if message.error() is not None:
                continue   # the client repeats what can be repeated; a broker that is gone shows in the next probe
            topic, partition = str(message.topic()), int(message.partition() or 0)
            try:
                batch.append((topic, partition, decode(topic, message.value())))
            except BadEvent as error:
                self.desk.bad_events += 1
                _log.warning("%s[%s]@%s refused: %s", topic, partition, message.offset(), error)
            if topic in (MARGIN_CALC, MARGIN_STATUS):
                newest = max(newest, message.timestamp()[1])
            self._positions[topic, partition] = int(message.offset() or 0) + 1
        self.desk.apply(batch)
        if newest:
            self.feed.received(newest, self._now_ms())


def _existing(consumer: Consumer) -> list[tuple[str, int]]:
    """The partitions of those of the topics that exist."""
    known = consumer.list_topics(timeout=_ANSWER_SECONDS).topics
    return [(name, number) for name in TOPICS if name in known and known[name].error is None for number in sorted(known[name].partitions)]
