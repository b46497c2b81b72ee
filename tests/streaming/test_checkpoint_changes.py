"""What a change does to a checkpoint: what it survives it carries on without a gap;
what it does not is refused, and rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient, NewPartitions
from pyspark.sql import SparkSession

from margin_platform import durable_state
from margin_platform.contracts.messages import DEAD_LETTER, FILLS, MARGIN_CALC, PRICES, TOPICS, Event
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument
from margin_platform.market.instruments import load
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.events import calc_events
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from spark import margin_snapshots
from spark.margin_snapshots import MarginSnapshots
from tests.support.market_day import OPEN, seed, send, tick
from tests.support.running import Running

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
# of an event that says when and from what it was computed
OWN = ("inputs", "calc_id", "calc_timestamp", "timestamp")


@pytest.fixture
def running(spark_session: SparkSession, bus: Bus, work: Path) -> Iterator[Running]:
    streams = Running(spark_session, bus, work)
    yield streams
    streams.stop()


def figures(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in OWN}


def expected(bus: Bus, instruments: tuple[Instrument, ...], policy: Policy) -> dict[str, Event]:
    """Every account as an engine says that reads all topics once."""
    engine = MarginEngine(instruments, policy)
    engine.process([r for topic in TOPICS_IN_ORDER for r in bus.read_all(topic)], 0)
    book = engine.ledger.book(engine.code_of)
    events = calc_events(
        book, engine.market, evaluate(book, engine.market, policy), Inputs(0, 0, {}, engine.live.price_time)
    )
    return {e["account_id"]: figures(e) for e in events}


def found(events: list[Event]) -> dict[str, Event]:
    return {e["account_id"]: figures(e) for e in events}


def test_another_policy_a_new_instrument_and_more_partitions_are_survived(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[..., Any],
    events_of: Callable[[str], list[Event]],
) -> None:
    running.start(MarginSnapshots)
    send(running.bus, seed(6))
    running.drain()
    running.stop()
    admin = KafkaAdminClient(bootstrap_servers=running.bus.bootstrap)
    admin.create_partitions({topic: NewPartitions(total_count=6) for topic in (PRICES, FILLS)})
    admin.close()
    until(
        lambda: len(running.bus.end_offsets(PRICES)) == len(running.bus.end_offsets(FILLS)) == 6,
        "six partitions",
    )
    before = current_policy()
    policy = before.model_copy(
        update={
            "version": "stricter",
            "maintenance": before.maintenance.model_copy(update={"long_rate": 0.45}),
        }
    )
    instruments = (Instrument(symbol="AAA", beta=1.0), *load())  # first by name: every code moves by one
    monkeypatch.setattr(margin_snapshots, "load", lambda: instruments)
    running.settings = replace(running.settings, policy=policy)
    stream = running.start(MarginSnapshots)
    fill = {
        "fill_id": "new",
        "account_id": "A0000",
        "symbol": "AAA",
        "qty": 7,
        "price": 11.0,
        "timestamp": OPEN + 900,
    }
    send(
        running.bus,
        [(PRICES, {"symbol": "AAA", "price": 11.5, "timestamp": OPEN + 1000}), (FILLS, fill), *tick(1)],
    )
    running.drain()
    until(
        lambda: found(events_of(MARGIN_CALC)) == expected(running.bus, instruments, policy),
        "the figures of the new policy",
    )
    assert {e["policy_version"] for e in found(events_of(MARGIN_CALC)).values()} == {"stricter"}
    assert stream.engine.ledger.positions("A0000")["AAA"] == 7.0
    assert events_of(DEAD_LETTER) == []  # nothing was read twice


def test_a_state_of_another_format_is_refused_in_one_line_and_rebuilt_from_the_topics(
    bus: Bus,
    work: Path,
    start_driver: Callable[..., Any],
    until: Callable[..., Any],
    events_of: Callable[[str], list[Event]],
) -> None:
    send(bus, seed(6))
    folder = work / "checkpoints" / "margin_snapshots"
    folder.mkdir(parents=True)
    (folder / "state-000000000009").write_bytes(b"margin-platform state 99\n{}\n")
    refused = start_driver(bus.bootstrap, "margin_snapshots")
    assert refused.process.wait(120) == 1
    (line,) = [
        line for line in (work / "driver.log").read_text().splitlines() if "a stream cannot continue" in line
    ]
    assert "state-000000000009" in line
    assert "state 99" in line
    assert "--rebuild" in line
    rebuilt = start_driver(bus.bootstrap, "margin_snapshots", "local[2]", "--rebuild")
    until(
        lambda: found(events_of(MARGIN_CALC)) == expected(bus, load(), current_policy()),
        "every account from the topics",
    )
    assert rebuilt.end_input() == 0
    assert durable_state.load(folder) is not None
    assert not list(folder.glob("state-000000000009"))


def test_the_inputs_of_a_rebuild_are_kept_for_ever_or_hold_the_newest_of_each_key() -> None:
    """What --rebuild reads: the topics of the book and of the market have no end of retention;
    prices stay 30 days.
    """
    for name in TOPICS_IN_ORDER:
        topic = TOPICS[name]
        assert topic.retention_days is None or (name == PRICES and topic.retention_days == 30)
