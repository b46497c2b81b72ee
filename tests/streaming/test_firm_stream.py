"""What a stream does about records that are not there: the firm's goes on, the book's stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient

from margin_platform.contracts.messages import CASH, FIRM_PARTIALS, FIRM_RISK, Event
from margin_platform.firm.sums import AccountSums
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from spark import stream_query
from spark.account_shards import query
from tests.support.market_day import OPEN, seed, send
from tests.support.running import Running

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
Events = Callable[[str], list[Event]]


class FirmOfTwo:
    """The totals of two shards, started and stopped."""

    def __init__(self, streams: Running) -> None:
        self._streams, self._started = streams, list[stream_query.Running]()

    def start(self) -> stream_query.Running:
        start = partial(query.firm_exposure, self._streams.place, self._streams.policy, 2)
        self._started.append(stream_query.Running(start, {}))
        return self._started[-1]

    def publish(self, tick: int) -> None:
        for shard in (0, 1):
            part = AccountSums(self._streams.policy).partial(shard, 2, OPEN + tick * 1000, OPEN, [])
            self._streams.bus.produce(FIRM_PARTIALS, part | {"accounts": tick})
        self._streams.bus.flush()

    def stop(self) -> None:
        for started in self._started:
            started.query.stop()


@pytest.fixture
def firm(running: Running) -> Iterator[FirmOfTwo]:
    streams = FirmOfTwo(running)
    yield streams
    streams.stop()


def forget(bus: Bus, topic: str) -> None:
    """Deletes every record that stands on a topic, as retention does during a stop."""
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    admin.delete_records(
        {TopicPartition(topic, partition): end for partition, end in bus.end_offsets(topic).items()}
    )
    admin.close()


def accounts(rows: list[Event]) -> set[int]:
    return {row["num_accounts"] for row in rows}


@pytest.mark.parametrize("made_anew", [False, True])
def test_after_a_stop_longer_than_its_topic_is_kept_the_firm_goes_on_with_the_next_tick(
    made_anew: bool, running: Running, firm: FirmOfTwo, events_of: Events, until: Callable[..., Any]
) -> None:
    firm.start()
    firm.publish(1)
    firm.publish(2)
    until(lambda: accounts(events_of(FIRM_RISK)) == {2, 4}, "the firm's rows")
    firm.stop()
    firm.publish(3)
    if made_anew:
        topic_admin.recreate(running.bus.bootstrap, [FIRM_PARTIALS])
    else:
        forget(running.bus, FIRM_PARTIALS)
    firm.start()
    ticks = count(4)

    def after_the_gap() -> bool:
        firm.publish(next(ticks))
        return max(accounts(events_of(FIRM_RISK))) >= 8

    until(after_the_gap, "the firm after the gap")
    assert 6 not in accounts(events_of(FIRM_RISK))


def test_a_record_of_the_book_that_retention_deleted_unread_stops_its_stream(running: Running) -> None:
    running.start()
    send(running.bus, seed(1))
    running.drain()
    running.stop()
    send(
        running.bus,
        [(CASH, {"transfer_id": "unread", "account_id": "A0000", "amount": 5.0, "timestamp": OPEN})],
    )
    forget(running.bus, CASH)
    running.start()
    with pytest.raises(AssertionError, match="lost|changed"):
        running.drain()
