"""The bus against a real broker: what it promises to sensors, streams and re-executed runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.record import MemoryRecords

from margin_platform.contracts.messages import BETAS, FILLS, PRICES, TOPICS
from margin_platform.contracts.offsets import Record
from margin_platform.kafka import bus as bus_module
from margin_platform.kafka import topic_admin
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.stack import ports

pytestmark = pytest.mark.kafka


def _price(symbol: str, price: float) -> dict[str, object]:
    return {"symbol": symbol, "price": price, "timestamp": 1_582_000_000_000}


def test_an_event_is_read_back_with_its_key_and_offset(bus: Bus) -> None:
    start = bus.end_offsets(PRICES)
    bus.produce(PRICES, _price("AAPL", 80.0))
    records = bus.poll(PRICES, start, timeout_s=10)
    assert [(r.key, r.offset) for r in records] == [("AAPL", 0)]
    assert b'"price":80.0' in (records[0].value or b"")


def test_all_events_of_a_key_stand_in_one_partition_in_order(bus: Bus) -> None:
    for n in range(100):
        bus.produce(PRICES, _price("AAPL" if n % 2 else "MSFT", 1.0 + n))
    bus.flush()
    apple = [r for r in bus.read_all(PRICES) if r.key == "AAPL"]
    assert len({r.partition for r in apple}) == 1
    assert [r.value for r in apple] == sorted(
        (r.value for r in apple), key=lambda v: float(str(v).split('"price":')[1].split(",")[0])
    )
    assert len(apple) == 50


def test_a_range_is_the_same_records_however_often_it_is_read(bus: Bus) -> None:
    for n in range(20):
        bus.produce(BETAS, {"symbol": "AAPL", "beta": 1.0 + n, "timestamp": 1})
    bus.flush()
    first = bus.read_range(BETAS, 0, 5, 12)
    assert [r.offset for r in first] == list(range(5, 12))
    assert bus.read_range(BETAS, 0, 5, 12) == first


def test_a_range_decodes_its_own_records_only(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(200):
        bus.produce(BETAS, {"symbol": "AAPL", "beta": 1.0 + n, "timestamp": 1})
    bus.flush()
    decoded: list[int] = []
    real = bus_module._records

    def counted(polled: dict[TopicPartition, list[Any]]) -> list[Record]:
        records = real(polled)
        decoded.extend(record.offset for record in records)
        return records

    monkeypatch.setattr(bus_module, "_records", counted)
    for start, end in ((5, 12), (12, 14)):
        assert [r.offset for r in bus.read_range(BETAS, 0, start, end)] == list(range(start, end))
    assert decoded == list(range(5, 14))


def test_a_small_range_of_a_long_topic_is_fetched_without_the_rest(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight megabytes lie behind a few records: the broker does not send them along."""
    for n in range(2_000):
        bus.produce(BETAS, {"symbol": f"S{n}", "beta": 1.0, "timestamp": 1, "note": "x" * 4_000})
    bus.flush()
    received: list[int] = []
    real = MemoryRecords.__init__

    def counted(self: MemoryRecords, data: bytes) -> None:
        received.append(len(data))
        real(self, data)

    monkeypatch.setattr(MemoryRecords, "__init__", counted)
    for start, end in ((5, 12), (300, 350)):
        received.clear()
        assert [r.offset for r in bus.read_range(BETAS, 0, start, end)] == list(range(start, end))
        assert (end - start) * 4_000 < sum(received) < 1_000_000
    received.clear()
    assert len(bus.read_range(BETAS, 0, 0, 2_000)) == 2_000  # a large range is still read in few fetches
    assert len(received) <= 4


def test_the_latest_of_each_key_is_the_state_of_a_compacted_topic(bus: Bus) -> None:
    for beta in (1.1, 1.2, 1.3):
        bus.produce(BETAS, {"symbol": "AAPL", "beta": beta, "timestamp": 1})
    bus.produce(BETAS, {"symbol": "KO", "beta": 0.6, "timestamp": 1})
    bus.flush()
    latest = bus.latest_by_key(BETAS)
    assert set(latest) == {"AAPL", "KO"}
    assert latest["AAPL"].offset == 2


def test_an_empty_poll_returns_within_its_timeout(bus: Bus) -> None:
    began = time.monotonic()
    assert bus.poll(PRICES, bus.end_offsets(PRICES), timeout_s=0.3) == []
    assert time.monotonic() - began < 2.0


def test_a_poll_leaves_the_callers_positions_alone(bus: Bus) -> None:
    bus.produce(FILLS, {"account_id": "A"}, key="A")
    bus.flush()
    positions = dict.fromkeys(bus.end_offsets(FILLS), 0)
    assert len(bus.poll(FILLS, positions, timeout_s=10)) == 1
    assert set(positions.values()) == {0}


def test_an_unknown_topic_is_named(bus: Bus) -> None:
    with pytest.raises(LookupError, match="no.such.topic"):
        bus.end_offsets("no.such.topic")


@pytest.mark.parametrize(
    "call",
    [
        lambda bus: bus.end_offsets(PRICES),
        lambda bus: bus.poll(PRICES, {0: 0}, timeout_s=0.1),
        lambda bus: bus.produce(PRICES, _price("AAPL", 1.0)),
    ],
    ids=["end_offsets", "poll", "produce"],
)
def test_an_unreachable_broker_is_one_error_with_its_address(call: Callable[[Bus], object]) -> None:
    nowhere = Bus(f"127.0.0.1:{ports.any_free()}", connect_seconds=0.5)
    with pytest.raises(BrokerUnreachable, match=nowhere.bootstrap):
        call(nowhere)


def test_every_topic_of_the_contract_has_its_partitions(bus: Bus) -> None:
    assert {name: len(bus.end_offsets(name)) for name in TOPICS} == {
        name: topic.partitions for name, topic in TOPICS.items()
    }


def test_creating_topics_again_keeps_their_data(bus: Bus) -> None:
    bus.produce(BETAS, {"symbol": "AAPL", "beta": 1.0, "timestamp": 1})
    bus.flush()
    assert topic_admin.create(bus.bootstrap) == []
    assert bus.end_offsets(BETAS) == {0: 1}


def test_no_topic_is_compacted_and_the_book_is_kept_for_ever() -> None:
    """A null on a compacted topic would delete on a rebuild what it did not delete live."""
    assert {topic_admin.configuration(topic)["cleanup.policy"] for topic in TOPICS.values()} == {"delete"}
    assert {topic_admin.configuration(topic)["message.timestamp.type"] for topic in TOPICS.values()} == {
        "LogAppendTime"
    }
    assert topic_admin.configuration(TOPICS[BETAS])["retention.ms"] == "-1"
    assert topic_admin.configuration(TOPICS[FILLS])["retention.ms"] == "-1"
    assert topic_admin.configuration(TOPICS[PRICES])["retention.ms"] == str(30 * 86_400_000)


def test_a_topic_of_an_earlier_version_gets_todays_settings_and_keeps_its_data(bus: Bus) -> None:
    """State topics were compacted, and records carried their producer's clock:
    both are ended by a start, without a loss. How long its records are kept stays as an operator set it.
    """
    kept = {"retention.ms": "86400000"}
    before = {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"} | kept
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, BETAS, before)])
        _await_settings(admin, before)
        bus.produce(BETAS, {"symbol": "AAPL", "beta": 1.0, "timestamp": 1_582_000_000_000})
        bus.flush()
        assert topic_admin.create(bus.bootstrap, [BETAS]) == []
        _await_settings(admin, topic_admin.configuration(TOPICS[BETAS]) | kept)
    finally:
        admin.close()
    assert bus.end_offsets(BETAS) == {0: 1}


def _await_settings(admin: KafkaAdminClient, wanted: dict[str, str]) -> None:
    """Return once the broker shows these settings: it applies a change a moment after it has taken it."""
    deadline = time.monotonic() + 20
    shown: dict[str, str] = {}
    while shown != wanted:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, BETAS)])["topic"][BETAS]
        shown = {name: str(found[name]["value"]) for name in wanted}
        assert time.monotonic() < deadline, shown


@pytest.mark.parametrize(
    "produce",
    [
        lambda bus, value: bus.produce_raw("small", value, "AAPL"),
        lambda bus, value: bus.produce_many("small", [b"{}", value, b"{}"], ["AAPL"] * 3),
    ],
    ids=["one", "many"],
)
def test_a_record_that_the_broker_refuses_is_raised(bus: Bus, produce: Callable[[Bus, bytes], None]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    try:
        admin.create_topics([NewTopic("small", 1, 1, topic_configs={"max.message.bytes": "2000"})])
        produce(bus, b"x" * 4000)
        with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
            bus.flush()
    finally:
        admin.delete_topics(["small"])
        admin.close()


def test_records_that_are_produced_together_keep_their_order_and_keys(bus: Bus) -> None:
    values = [b'{"beta":%d}' % n for n in range(3_000)]
    bus.produce_many(BETAS, values, [f"S{n % 7}" for n in range(3_000)])
    bus.flush()
    found = bus.read_range(BETAS, 0, 0, 3_000)
    assert [(r.value, r.key) for r in found] == [(v, f"S{n % 7}") for n, v in enumerate(values)]


def test_the_checksum_of_a_record_is_computed_in_c() -> None:
    """In pure Python it took 39% of the time of a run of decisions;
    the compiled module is an extra of kafka-python.
    """
    import crc32c
    from kafka.record import util

    assert util.calc_crc32c.__defaults__ == (crc32c.crc32c,)
