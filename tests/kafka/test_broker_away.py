"""A broker that is away: each client waits for it, for ten minutes as for ten seconds.

The broker and the clock are doubles.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from kafka import TopicPartition
from kafka import errors as client_errors
from kafka.errors import RetriableError

from margin_platform.contracts.messages import FILLS, PRICES
from margin_platform.kafka.bus import BrokerUnreachable, Bus
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.stack import venue

PASSING = [
    error
    for error in vars(client_errors).values()
    if isinstance(error, type) and issubclass(error, RetriableError) and error is not RetriableError
]
TEN_MINUTES = 600.0


class Consumer:
    """kafka-python's consumer on a topic of one partition with ten records, which fails in one call."""

    def __init__(self, failing: str, error: Exception) -> None:
        self._failing, self._error = failing, error

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            if name == self._failing:
                raise self._error
            tp = TopicPartition(PRICES, 0)
            return {
                "partitions_for_topic": {0},
                "end_offsets": {tp: 10},
                "beginning_offsets": {tp: 0},
                "position": 0,
                "assignment": {tp},
                "poll": {},
            }.get(name)

        return call


READS: dict[str, tuple[str, Callable[[Bus], Any]]] = {
    "partitions": ("partitions_for_topic", lambda bus: bus.end_offsets(PRICES)),
    "ends": ("end_offsets", lambda bus: bus.end_offsets(PRICES)),
    "beginnings": ("beginning_offsets", lambda bus: bus.beginning_offsets(PRICES)),
    "topic id": ("partitions_for_topic", lambda bus: bus.topic_id(PRICES)),
    "poll": ("poll", lambda bus: bus.poll(PRICES, {0: 0}, 1.0)),
    "where a poll begins": ("position", lambda bus: bus.poll(PRICES, {0: 5}, 1.0)),
    "range": ("poll", lambda bus: bus.read_range(PRICES, 0, 0, 5)),
    "how far a range is": ("position", lambda bus: bus.read_range(PRICES, 0, 0, 5)),
}


@pytest.mark.parametrize("error", PASSING, ids=lambda error: error.__name__)
@pytest.mark.parametrize("name", READS)
def test_an_error_that_passes_is_a_broker_that_is_away(name: str, error: type[Exception]) -> None:
    failing, read = READS[name]
    bus = Bus("kafka.example:9092", security=KafkaSecurity())
    bus._consumer = Consumer(failing, error())
    with pytest.raises(BrokerUnreachable, match=r"kafka\.example:9092"):
        read(bus)


def test_an_error_that_does_not_pass_is_raised_as_it_is() -> None:
    bus = Bus("kafka.example:9092", security=KafkaSecurity())
    bus._consumer = Consumer("poll", client_errors.TopicAuthorizationFailedError())
    with pytest.raises(client_errors.TopicAuthorizationFailedError):
        bus.poll(PRICES, {0: 0}, 1.0)


class Waits(threading.Event):
    """A stop that takes no time to wait for, and counts what it would have taken."""

    waited = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += timeout or 0.0
        return self.is_set()


def test_the_venue_waits_ten_minutes_for_its_broker_with_one_line_a_try(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It backs off to its longest wait, and serves again where the broker does."""
    stop, answered = Waits(), [True]

    class Away(Bus):
        def end_offsets(self, topic: str) -> dict[int, int]:
            assert topic == FILLS
            if not answered:
                if stop.waited < TEN_MINUTES:
                    raise BrokerUnreachable(self.bootstrap)
                stop.set()  # it is back: enough is seen
            answered.clear()
            return {0: 0}

        def beginning_offsets(self, topic: str) -> dict[int, int]:
            raise BrokerUnreachable(self.bootstrap)

    venue.serve(lambda: Away("kafka.example:9092", security=KafkaSecurity()), stop)
    assert stop.is_set()
    lines = [record.getMessage() for record in caplog.records if "asking again" in record.getMessage()]
    assert 600 / 15 <= len(lines) <= 50
    assert "no Kafka broker answers at kafka.example:9092: asking again in 15 s" in lines
