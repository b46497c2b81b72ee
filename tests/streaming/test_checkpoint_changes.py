"""What a change does to a checkpoint: what it survives it carries on without a gap;
what it does not is refused, and rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient, NewPartitions

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
from spark import checkpoints
from spark.account_shards import query
from tests.support.market_day import OPEN, seed, send, tick
from tests.support.running import Running

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
# of an event that says when and from what it was computed
OWN = ("inputs", "calc_id", "calc_timestamp", "timestamp")


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
    running.start()
    send(running.bus, seed(6))
    running.drain()
    running.stop()
    admin = KafkaAdminClient(bootstrap_servers=running.bus.bootstrap)
    admin.create_partitions({topic: NewPartitions(total_count=6) for topic in (PRICES, FILLS)})
    admin.close()
    with Bus(running.bus.bootstrap) as bus:  # the other one knows how many there were
        until(lambda: len(bus.end_offsets(PRICES)) == len(bus.end_offsets(FILLS)) == 6, "six partitions")
    before = current_policy()
    policy = before.model_copy(
        update={
            "version": "stricter",
            "maintenance": before.maintenance.model_copy(update={"long_rate": 0.45}),
        }
    )
    instruments = (Instrument(symbol="AAA", beta=1.0), *load())  # first by name: every code moves by one
    monkeypatch.setattr(query, "load", lambda: instruments)
    running.policy = policy
    running.start()
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
    assert running.engine().ledger.positions("A0000")["AAA"] == 7.0
    assert events_of(DEAD_LETTER) == []  # nothing was read twice


def test_a_state_of_another_format_is_refused_in_one_line_and_rebuilt_from_the_topics(
    running: Running, tmp_path: Path, until: Callable[..., Any], events_of: Callable[[str], list[Event]]
) -> None:
    workers = running.session.sparkContext.environment
    (tmp_path / "sitecustomize.py").write_text(
        "from margin_platform import durable_state\ndurable_state.FORMAT = 'margin-platform state 99'\n"
    )
    workers["PYTHONPATH"] = str(tmp_path)  # of a version that keeps another state
    send(running.bus, seed(6))
    try:
        running.start()
        running.drain()
    finally:
        del workers["PYTHONPATH"]
    running.stop()
    send(running.bus, tick(1))
    refused = running.start()
    until(lambda: not refused.query.isActive and not refused.started_again(), "the query to end")
    assert "'margin-platform state 99'; --rebuild" in refused.failure
    assert len(refused.failure.splitlines()) == 1
    checkpoints.forget(running.place.checkpoint, ["margin_snapshots"])
    running.start()
    running.drain()
    until(
        lambda: found(events_of(MARGIN_CALC)) == expected(running.bus, load(), current_policy()),
        "every account from the topics",
    )
    assert set(running.engine().ledger.account_ids()) == set(found(events_of(MARGIN_CALC)))


def test_the_inputs_of_a_rebuild_are_kept_for_ever_or_hold_the_newest_of_each_key() -> None:
    """What --rebuild reads: the topics of the book and of the market have no end of retention;
    prices stay 30 days.
    """
    for name in TOPICS_IN_ORDER:
        topic = TOPICS[name]
        assert topic.retention_days is None or (name == PRICES and topic.retention_days == 30)
