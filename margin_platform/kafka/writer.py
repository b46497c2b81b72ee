"""The bus's writing half: one librdkafka producer of a cluster, opened by the first record.

Writing is confluent-kafka's, because a micro-batch publishes thousands of figures: 1,000 events cost 200 ms
of processor time in a producer written in Python and 5 ms in librdkafka.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Producer

from margin_platform.kafka.broker_errors import BrokerRefused, BrokerUnreachable
from margin_platform.kafka_security import KafkaSecurity, LoginErrors

_ASK_SECONDS = 0.5
_DELIVERY_MS = 30_000
_NO_ANSWER = (KafkaError._MSG_TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)


class Writer:
    """Writes records to one cluster, from any thread."""

    def __init__(self, bootstrap: str, timeout_ms: int, security: KafkaSecurity) -> None:
        """Keep the connection's settings; timeout_ms: how long the first record waits for a broker."""
        self._bootstrap = bootstrap
        self._timeout_ms = timeout_ms
        self._security = security
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._failures: list[KafkaError] = []

    def write(self, topic: str, value: bytes, key: str | None) -> None:
        """Queue a record; waits where the queue is full."""
        producer = self.open()
        self._queue(producer, topic, value, None if key is None else key.encode())
        producer.poll(0)

    def write_many(self, topic: str, values: Sequence[bytes], keys: Sequence[str]) -> None:
        """Queue records of one topic, in order."""
        producer = self.open()
        for value, key in zip(values, keys, strict=True):
            self._queue(producer, topic, value, key.encode())
        producer.poll(0)

    def _queue(self, producer: Producer, topic: str, value: bytes, key: bytes | None) -> None:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=self._delivered)
                return
            except BufferError:
                producer.poll(0.1)  # the queue is full: deliver some before taking more

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._failures.append(error)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Flush as `Bus.flush` describes."""
        left = 0 if self._producer is None else self._producer.flush(timeout_s)
        failures, self._failures = self._failures, []
        if left or any(f.code() in _NO_ANSWER or f.retriable() for f in failures):
            raise BrokerUnreachable(self._bootstrap)
        if failures:
            raise KafkaException(failures[0])

    def open(self) -> Producer:
        """Return the producer, connected. BrokerRefused or BrokerUnreachable where it cannot be."""
        with self._lock:
            if self._producer is None:
                errors = LoginErrors(self._security)
                producer = Producer(
                    self._security.librdkafka()
                    | {
                        "bootstrap.servers": self._bootstrap,
                        "acks": "all",
                        "enable.idempotence": True,
                        "linger.ms": 2,
                        "partitioner": "murmur2_random",
                        "message.max.bytes": 8_388_608,
                        "delivery.timeout.ms": _DELIVERY_MS,
                        "delivery.report.only.error": True,  # to hear of each costs half of it
                        "log_level": 0,
                        "error_cb": errors,
                    }
                )
                self._await_broker(producer, errors)
                self._producer = producer
        return self._producer

    def _await_broker(self, producer: Producer, errors: LoginErrors) -> None:
        """Return once the broker has answered.

        BrokerRefused immediately where it rejects the login, else BrokerUnreachable.
        """
        deadline = time.monotonic() + self._timeout_ms / 1000
        producer.poll(0)  # supplies the token where one is needed: nothing connects without it
        while True:
            try:
                producer.list_topics(timeout=min(_ASK_SECONDS, self._timeout_ms / 1000))
                return
            except KafkaException as error:
                if refusal := errors.served(producer.poll):
                    raise BrokerRefused(self._bootstrap, refusal) from error
                if time.monotonic() >= deadline:
                    raise BrokerUnreachable(self._bootstrap) from error

    def close(self) -> None:
        """Deliver what is left and close the connection."""
        with self._lock:
            if self._producer is not None:
                self._producer.flush(5)
            self._producer = None
