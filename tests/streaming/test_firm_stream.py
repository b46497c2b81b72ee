"""What a stream does about records that are not there, or are none:
the firm's goes on and says so, the book's stops.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from pyspark.errors import StreamingQueryException

from margin_platform import durable_state
from margin_platform.contracts.messages import CASH, DEAD_LETTER, FIRM_RISK, MARGIN_CALC, Event
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from spark.firm_exposure import FirmExposure
from spark.margin_snapshots import MarginSnapshots
from spark.stream import StreamSettings
from tests.support.market_day import OPEN, seed, send
from tests.support.running import Running

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
Events = Callable[[str], list[Event]]


def figures(account: str) -> Event:
    """What the firm's sums are made of, for one account."""
    lanes = dict.fromkeys(
        ("stress_pnl", "stress_unsecured", "stress_calls"), [0.0] * len(current_policy().stress.scenarios)
    )
    return {
        "account_id": account,
        "equity": 10.0,
        "gross_mv": 5.0,
        "requirement": 1.0,
        "excess": 9.0,
        "beta_weighted_exposure": 5.0,
        "total_mv": 5.0,
        **lanes,
        "calc_id": "c",
        "status": "ACTIVE",
        "timestamp": OPEN,
    }


def forget(bus: Bus, topic: str) -> None:
    """Deletes every record that stands on a topic, as retention does during a stop."""
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    admin.delete_records(
        {TopicPartition(topic, partition): end for partition, end in bus.end_offsets(topic).items()}
    )
    admin.close()


def test_after_a_stop_longer_than_its_topic_is_kept_the_firm_goes_on_with_what_is_there_and_says_so(
    running: Running, events_of: Events, until: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    def publish(*accounts: str) -> None:
        for account in accounts:
            running.bus.produce(MARGIN_CALC, figures(account), key="all in one partition")
        running.bus.flush()

    running.start(FirmExposure)
    publish("A", "B")
    running.drain()
    running.stop()
    assert "retention" not in caplog.text
    publish("C", "D")
    forget(running.bus, MARGIN_CALC)
    publish("A", "E")
    running.start(FirmExposure)
    running.drain()
    until(
        lambda: {row["num_accounts"] for row in events_of(FIRM_RISK)} == {2, 3},
        "the firm with the account that came after the gap",
    )
    assert re.search(r"margin\.calc\.v1\[\d\] 2-4 deleted by retention before it was read", caplog.text)


def test_rows_published_between_a_restart_and_its_first_batch_are_of_the_batch_before(
    running: Running,
) -> None:
    """The table takes rows of a batch once, by its number: it must not fall."""
    running.start(FirmExposure)
    for account in ("A", "B"):
        running.bus.produce(MARGIN_CALC, figures(account))
        running.bus.flush()
        running.drain()
    running.stop()
    again = FirmExposure(running.settings)
    before = again.sink.written_batch()
    again.recover()
    again.idle()
    again.close()
    assert again.sink.written_batch() >= before > 0


def test_the_firm_does_not_take_a_topic_made_anew_for_one_it_has_read(running: Running) -> None:
    running.start(FirmExposure)
    running.bus.produce(MARGIN_CALC, figures("A"))
    running.bus.flush()
    running.drain()
    running.stop()
    topic_admin.recreate(running.bus.bootstrap, [MARGIN_CALC])
    with pytest.raises(
        durable_state.StateRefused, match=r"margin\.calc\.v1 ends before what was read of it.*--rebuild"
    ):
        running.start(FirmExposure)


def test_a_record_of_the_book_that_retention_deleted_unread_stops_its_stream(running: Running) -> None:
    running.start(MarginSnapshots)
    send(running.bus, seed(1))
    running.drain()
    running.stop()
    send(
        running.bus,
        [(CASH, {"transfer_id": "unread", "account_id": "A0000", "amount": 5.0, "timestamp": OPEN})],
    )
    forget(running.bus, CASH)
    running.start(MarginSnapshots)
    with pytest.raises(StreamingQueryException, match="lost|changed"):
        running.drain()


def test_published_figures_that_are_none_are_dead_letters_and_the_firm_counts_the_others(
    bus: Bus, work: Path, events_of: Events
) -> None:
    policy = current_policy()
    for account, flaw in (
        ("A", {}),
        ("B", {"stress_pnl": "much"}),
        ("C", {"total_mv": {}}),
        ("D", {"stress_calls": [[1]]}),
        ("E", {}),
    ):
        bus.produce(MARGIN_CALC, figures(account) | flaw)
    bus.flush()
    stream = FirmExposure(StreamSettings(bus.bootstrap, work / "checkpoints", str(work / "tables"), policy))
    stream.take(bus.read_all(MARGIN_CALC), 0, publish=True)
    stream.bus.close()
    letters = {(e["field"], e["value"]) for e in events_of(DEAD_LETTER)}
    assert letters == {("stress_pnl", "much"), ("total_mv", "{}"), ("stress_calls", "[[1]]")}
    assert {row["num_accounts"] for row in events_of(FIRM_RISK)} == {2}
