"""The outbox on SQLite and Postgres: publishers take turns, and the turn of one that failed is the next
one's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import cast

import orjson
import pytest
from sqlalchemy import insert

from margin_platform.contracts.messages import MARGIN_CALLS, Event, encode
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.store import tables as t
from margin_platform.store.outbox import publish
from margin_platform.store.store import Store


class RecordingBus:
    """In place of the broker, whose flush cannot be held open at the moment between sending and the mark."""

    def __init__(self, on_flush: Callable[[], None]) -> None:
        self.sent: list[str] = []
        self.keys: set[tuple[str, str]] = set()
        self.flush = on_flush

    def produce_raw(self, topic: str, value: bytes, key: str) -> None:
        self.sent.append(orjson.loads(value)["event_id"])
        self.keys.add((topic, key))


def _call(number: int) -> Event:
    return {"event_id": f"m{number}", "account_id": "Müller", "deficiency": 0.1}


def _leave(store: Store, count: int) -> None:
    messages = [
        {"message_id": f"m{n}", "topic": MARGIN_CALLS, "event": _call(n), "sent": False} for n in range(count)
    ]
    with store.write() as connection:
        connection.execute(insert(t.outbox), messages)


def _publish(store: Store, bus: RecordingBus) -> int:
    return publish(store, cast(Bus, bus))


def test_a_second_publisher_waits_for_the_first_and_sends_nothing_again(store_url: str) -> None:
    second_sent: list[int] = []
    second = RecordingBus(lambda: None)
    with Store(store_url) as store, Store(store_url) as other:
        _leave(store, 3)
        thread = threading.Thread(target=lambda: second_sent.append(_publish(other, second)))

        def start_the_second() -> None:
            thread.start()
            thread.join(timeout=1)  # ample for three messages, were it not for its turn

        first = RecordingBus(start_the_second)
        assert _publish(store, first) == 3
        thread.join(timeout=60)
    assert (first.sent, second.sent, second_sent) == (["m0", "m1", "m2"], [], [0])


def test_the_turn_of_a_publisher_that_lost_its_broker_is_free_again(store_url: str) -> None:
    def lose() -> None:
        raise BrokerUnreachable("127.0.0.1:1")

    with Store(store_url) as store, Store(store_url) as other:
        _leave(store, 2)
        with pytest.raises(BrokerUnreachable):
            _publish(store, RecordingBus(lose))
        again = RecordingBus(lambda: None)
        assert (_publish(other, again), again.sent) == (2, ["m0", "m1"])


def test_a_message_leaves_as_it_was_put_in_keyed_as_its_topic_is(store_url: str) -> None:
    class Wire(RecordingBus):
        def produce_raw(self, topic: str, value: bytes, key: str) -> None:
            values.append(value)
            super().produce_raw(topic, value, key)

    values: list[bytes] = []
    bus = Wire(lambda: None)
    with Store(store_url) as store:
        _leave(store, 2)
        _publish(store, bus)
    assert values == [encode(_call(0)), encode(_call(1))]
    assert bus.keys == {(MARGIN_CALLS, "Müller")}
