"""The acting jobs on a real broker and a real store:
what a run did is linked to its cause, and repeating it does nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from sqlalchemy import func, select

from assets.keys import topic_key
from margin_platform.contracts.messages import (
    DEAD_LETTER,
    FIRM_RISK,
    MARGIN_CALLS,
    MARGIN_STATUS,
    NOTIFICATIONS,
    PRICES,
    RESTRICTIONS,
    decode,
)
from margin_platform.definitions import definitions
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.event_clock import clock
from margin_platform.ladder import deadlines, ladder
from margin_platform.notification.channels import Channel, Outgoing
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.store.store import Store
from margin_platform.store.tables import calls, outbox
from margin_platform.store.undecided import SpanLost
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.notifier import NotifierResource
from sensors.ladder_timers import ladder_timers, reason_to_wait
from sensors.outbox_relay import outbox_relay, still_waiting

pytestmark = pytest.mark.kafka
TEN_AM = 1_582_210_800_000  # 2020-02-20 10:00 New York


def status(account: str, excess: float, at: int = TEN_AM) -> dict[str, Any]:
    """A Reg T account of $100,000 gross held to $25,000; a negative excess is a deficiency."""
    return {
        "account_id": account,
        "calc_id": f"calc-{account}-{at}",
        "timestamp": at,
        "calc_timestamp": at,
        "margin_type": "REG_T",
        "cash": -75_000.0,
        "gross_mv": 100_000.0,
        "equity": 25_000.0 + excess,
        "requirement": 25_000.0,
        "excess": excess,
        "positions": [],
        "severe_underwater": False,
        "stale_symbols": [],
        "policy_version": current_policy().version,
    }


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def resources(bus: Bus, tmp_path: Path) -> dict[str, Any]:
    return stores(bus, tmp_path / "store.db")


def stores(bus: Bus, file: Path) -> dict[str, Any]:
    """The resources of a run on a store of its own, which the start of the stack has created."""
    Store(f"sqlite:///{file}").close()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=1)
    return {"kafka": kafka, "decisions": DecisionsResource(store_url=f"sqlite:///{file}")}


def job(name: str) -> dg.JobDefinition:
    return definitions.resolve_job_def(name)


def span(topic: str, start: int, end: int) -> dict[str, Any]:
    return {"topic": topic, "partition": 0, "start": start, "end": end}


def enforce(instance: dg.DagsterInstance, resources: dict[str, Any], start: int, end: int) -> str:
    config = {"ops": {"enforce": {"config": span(MARGIN_STATUS, start, end)}}}
    result = job("enforcement").execute_in_process(run_config=config, resources=resources, instance=instance)
    assert result.success
    return result.run_id


def actions(bus: Bus, topic: str) -> list[tuple[str, str]]:
    return [(e["account_id"], e["action"]) for e in (decode(topic, r.value) for r in bus.read_all(topic))]


def metadata_of(instance: dg.DagsterInstance, topic: str) -> tuple[str, dict[str, Any]]:
    record = instance.fetch_materializations(topic_key(topic), limit=1).records[0]
    assert record.asset_materialization is not None
    return record.run_id, {k: v.value for k, v in record.asset_materialization.metadata.items()}


def test_a_run_links_its_cause_to_what_it_produced_both_ways(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    bus.produce(MARGIN_STATUS, status("A1", -1_000.0))
    bus.flush()
    run_id = enforce(instance, resources, 0, 1)
    (event,) = [decode(MARGIN_CALLS, r.value) for r in bus.read_all(MARGIN_CALLS)]
    assert (event["action"], event["deficiency"], event["run_id"]) == ("MARGIN_CALL", 1_000.0, run_id)
    produced_by, produced = metadata_of(instance, MARGIN_CALLS)
    assert produced_by == run_id
    assert produced["ids"] == event["call_id"]
    assert produced["caused_by"] == "margin.status.v1[0] 0-1"
    seen = instance.fetch_observations(topic_key(MARGIN_STATUS), limit=1).records[0]
    assert seen.asset_observation is not None
    assert seen.asset_observation.metadata["ids"].value == f"calc-A1-{TEN_AM}" == produced["snapshots"]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.tags["margin/account"] == "A1"
    assert produced["episodes"] == event["call_id"]
    assert produced["accounts"] == "[A1](http://127.0.0.1:8050/#/account/A1)"
    with resources["decisions"].store() as store, store.read() as connection:
        call = connection.execute(select(calls)).one()
    assert (call.run_id, call.calc_id, call.source) == (
        run_id,
        produced["snapshots"],
        "margin.status.v1[0]@0",
    )


def test_a_run_executed_again_reads_the_same_events_and_decides_nothing_twice(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    for account in ("A1", "A2"):
        bus.produce(MARGIN_STATUS, status(account, -1_000.0))
    bus.flush()
    enforce(instance, resources, 0, 2)
    bus.produce(MARGIN_STATUS, status("A3", -1_000.0))
    bus.flush()
    enforce(instance, resources, 0, 2)
    assert actions(bus, MARGIN_CALLS) == [("A1", "MARGIN_CALL"), ("A2", "MARGIN_CALL")]


def decisions_of(resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Every message in the outbox, in order, without the run that made it."""
    with resources["decisions"].store() as store, store.read() as connection:
        found = connection.execute(select(outbox.c.event).order_by(outbox.c.seq)).scalars()
        return [
            {k: v for k, v in event.items() if k not in ("run_id", "hash", "previous_hash", "event_id")}
            for event in found
        ]


def test_a_span_that_overtakes_a_failed_one_decides_its_events_first(
    bus: Bus, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Whatever Dagster does: the run of 0-4 failed and is not yet marked for its retry, or its retry is
    NOT_STARTED.

    A1 is 1,000 short, then whole; A2 is short, then shorter. Overtaken, A1's call would be opened on the
    later figures, or never.
    """
    story = [
        ("A1", -1_000.0),
        ("A2", -1_000.0),
        ("A1", -1_000.0),
        ("A2", -1_500.0),
        ("A1", 6_000.0),
        ("A2", -4_000.0),
    ]
    for minute, (account, excess) in enumerate(story):
        bus.produce(MARGIN_STATUS, status(account, excess, TEN_AM + minute * 60_000))
    bus.flush()
    given = {name: stores(bus, tmp_path / f"{name}.db") for name in ("in_order", "overtaken")}
    for start, end in ((0, 4), (4, 6)):
        enforce(instance, given["in_order"], start, end)
    for start, end in ((4, 6), (0, 4)):  # the retry comes last
        enforce(instance, given["overtaken"], start, end)
    expected = decisions_of(given["in_order"])
    assert {"MARGIN_CALL", "MET", "AMENDED"} <= {event.get("action") for event in expected}
    assert decisions_of(given["overtaken"]) == expected


def test_a_timer_does_not_overtake_the_cure_whose_run_failed(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    """The call is cured after ten minutes, the run of that event failed,
    and after half an hour close-only is due.
    """
    bus.produce(MARGIN_STATUS, status("A1", -1_000.0))
    bus.produce(MARGIN_STATUS, status("A1", 20_000.0, TEN_AM + 600_000))
    bus.flush()
    enforce(instance, resources, 0, 1)
    config = {"ops": {"fire_timers": {"config": {"now_ms": TEN_AM + 1_800_000}}}}
    assert (
        job("ladder_timers")
        .execute_in_process(run_config=config, resources=resources, instance=instance)
        .success
    )
    assert ("A1", "MET") in actions(bus, MARGIN_CALLS)
    assert ("A1", "CLOSE_ONLY") not in actions(bus, RESTRICTIONS)


def test_a_run_whose_events_are_no_longer_kept_fails_and_names_them(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    for account in ("A1", "A2", "A3"):
        bus.produce(MARGIN_STATUS, status(account, -1_000.0))
    bus.flush()
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    admin.delete_records({TopicPartition(MARGIN_STATUS, 0): 2})
    admin.close()
    with pytest.raises(SpanLost, match=r"margin\.status\.v1\[0\] 0-2: deleted by retention"):
        enforce(instance, resources, 0, 3)
    assert actions(bus, MARGIN_CALLS) == []


BROKEN: list[tuple[str, str, Any]] = [
    ("excess", "missing", ...),
    ("excess", "not a number", "-1000"),
    ("calc_id", "missing", ...),
    ("account_id", "not a non-empty text", " "),
    ("timestamp", "not whole epoch milliseconds", "yesterday"),
    ("positions", "not a list", {"AAPL": 1}),
    ("severe_underwater", "neither true nor false", "no"),
]


def test_each_malformed_status_event_goes_to_dead_letter_and_the_others_are_decided(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    for number, (field, _, value) in enumerate(BROKEN):
        event = {k: v for k, v in (status(f"B{number}", -1_000.0) | {field: value}).items() if v is not ...}
        bus.produce_raw(MARGIN_STATUS, json.dumps(event).encode(), f"B{number}")
    bus.produce(MARGIN_STATUS, status("A2", -1_000.0))
    bus.flush()
    enforce(instance, resources, 0, len(BROKEN) + 1)
    assert actions(bus, MARGIN_CALLS) == [("A2", "MARGIN_CALL")]
    refused = [decode(DEAD_LETTER, r.value) for r in bus.read_all(DEAD_LETTER)]
    assert [(r["offset"], r["field"]) for r in refused] == [
        (n, field) for n, (field, _, _) in enumerate(BROKEN)
    ]
    for letter, (field, reason, value) in zip(refused, BROKEN, strict=True):
        assert (letter["topic"], letter["reason"]) == (MARGIN_STATUS, reason), field
        assert letter["value"] == (None if value is ... else str(value)), field


def test_a_request_for_orders_that_says_too_little_is_refused_and_the_next_is_worked(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    bus.produce(
        MARGIN_CALLS, {"account_id": "A1", "call_id": "c1", "action": "LIQUIDATE", "timestamp": TEN_AM}
    )
    bus.flush()
    config = {"ops": {"liquidate": {"config": span(MARGIN_CALLS, 0, 1)}}}
    assert (
        job("liquidation")
        .execute_in_process(run_config=config, resources=resources, instance=instance)
        .success
    )
    (refused,) = [decode(DEAD_LETTER, r.value) for r in bus.read_all(DEAD_LETTER)]
    assert (refused["topic"], refused["field"], refused["reason"]) == (MARGIN_CALLS, "event_id", "missing")


def test_a_timer_fires_on_the_event_clock_without_another_price_of_the_account(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    """Close-only follows a call after 30 minutes = 1,800,000 ms of event time."""
    bus.produce(MARGIN_STATUS, status("A1", -1_000.0))
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": TEN_AM + 1_799_999})
    # of tomorrow: no clock
    bus.produce(
        PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": time.time_ns() // 1_000_000 + 86_400_000}
    )
    bus.flush()
    enforce(instance, resources, 0, 1)
    early = ladder_timers(dg.build_sensor_context(instance=instance, resources=resources))
    assert (
        "the next timer is due at 2020-02-20T10:30:00-05:00, the clock stands at 2020-02-20T10:29:59.999000"
        in str(early.skip_message)
    )
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": TEN_AM + 1_800_000})
    bus.flush()
    due = ladder_timers(dg.build_sensor_context(instance=instance, resources=resources))
    (request,) = due.run_requests
    assert (
        job("ladder_timers")
        .execute_in_process(run_config=request.run_config, resources=resources, instance=instance)
        .success
    )
    assert ("A1", "CLOSE_ONLY") in actions(bus, RESTRICTIONS)
    again = ladder_timers(dg.build_sensor_context(instance=instance, cursor=due.cursor, resources=resources))
    assert "stands at" in str(again.skip_message)


def test_the_clock_of_a_live_market_goes_on_when_no_price_arrives_and_a_replays_stands(bus: Bus) -> None:
    wall = time.time_ns() // 1_000_000
    assert clock(bus, wall) is None
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": TEN_AM})  # of 2020, produced now
    bus.flush()
    assert clock(bus, wall + 60_000) == TEN_AM
    # a quarter of an hour late, as a free feed is
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": wall - 900_000})
    bus.flush()
    later = time.time_ns() // 1_000_000 + 60_000
    assert wall - 900_000 + 59_000 <= (clock(bus, later) or 0) <= later - 900_000


def test_a_timer_fires_in_a_live_market_although_no_price_arrives(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call is half an hour old two seconds after the last price.

    Its minutes count as on a day of trading, whatever today is.
    """
    for module in (ladder, deadlines):
        monkeypatch.setattr(module, "close_only_at", lambda opened, _: opened + 1_800_000)
    now = time.time_ns() // 1_000_000
    opened = now - 1_800_000 + 2_000
    bus.produce(MARGIN_STATUS, status("A1", -1_000.0, opened))
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": now})
    bus.flush()
    enforce(instance, resources, 0, 1)
    end = time.monotonic() + 30
    while isinstance(
        due := ladder_timers(dg.build_sensor_context(instance=instance, resources=resources)), dg.SkipReason
    ):
        assert time.monotonic() < end, due.skip_message
    (request,) = due.run_requests
    assert (
        job("ladder_timers")
        .execute_in_process(run_config=request.run_config, resources=resources, instance=instance)
        .success
    )
    (made,) = [decode(RESTRICTIONS, r.value) for r in bus.read_all(RESTRICTIONS)]
    # when it fell due, not when it was seen
    assert (made["decision"], made["timestamp"]) == ("CLOSE_ONLY", opened + 1_800_000)


def test_what_a_run_committed_and_did_not_send_is_sent_by_the_relay(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    with resources["decisions"].store() as store:
        Enforcer(store, current_policy()).handle_many(
            [(status("A1", -1_000.0), (MARGIN_STATUS, 0, 0))], run_id="died"
        )
    first = outbox_relay(dg.build_sensor_context(instance=instance, resources=resources))
    assert not first.run_requests  # its own run may still be sending
    second = outbox_relay(
        dg.build_sensor_context(instance=instance, cursor=first.cursor, resources=resources)
    )
    assert len(second.run_requests) == 1
    assert job("outbox_relay").execute_in_process(resources=resources, instance=instance).success
    assert actions(bus, MARGIN_CALLS) == [("A1", "MARGIN_CALL")]


def test_a_storm_split_into_runs_loses_no_call_and_doubles_none(bus: Bus, resources: dict[str, Any]) -> None:
    """300 accounts in spans of 100; the sensor's own spans hold 2,000 (see test_sensors: 10,000 accounts
    are 5 runs).
    """
    from sensors.topic_ticks.topic_sensor import runs_of

    for number in range(300):
        bus.produce(MARGIN_STATUS, status(f"A{number}", -1_000.0))
    bus.flush()
    spans = [run.span for run in runs_of(list(bus.read_all(MARGIN_STATUS)), lambda _: True, size=100)]
    assert len(spans) == 3
    with dg.DagsterInstance.ephemeral() as instance:
        for one in spans:
            enforce(instance, resources, one.start, one.end)
    with Store(resources["decisions"].store_url) as store, store.read() as connection:
        counted = connection.execute(
            select(func.count(), func.count(calls.c.account_id.distinct())).select_from(calls)
        ).one()
    assert counted == (300, 300)
    assert len(set(actions(bus, MARGIN_CALLS))) == len(actions(bus, MARGIN_CALLS)) == 300


class FirmNotifier(NotifierResource):
    """The product's notifier with one channel that answers at once, and somebody at the firm."""

    taken: ClassVar[list[Outgoing]] = []

    def channels(self, policy: Policy) -> list[Channel]:
        return [self]  # type: ignore[list-item]

    name: ClassVar[str] = "EMAIL"
    kind: ClassVar[str] = "email"

    def send(self, message: Outgoing) -> str:
        self.taken.append(message)
        return "receipt-1"


def test_a_firm_limit_alert_names_the_amount_the_limit_and_the_accounts_and_reaches_a_person_once(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_FIRM_EMAIL", "risk@broker.example")
    aws = AwsResource(endpoint_url="http://127.0.0.1:1")  # no channel here uses it
    told = {**resources, "notifier": FirmNotifier(aws=aws)}
    bus.produce(
        FIRM_RISK,
        {
            "scenario": "-0.06",
            "worst": True,
            "firm_beta_weighted_exposure": 10_500_000.0,
            "firm_loss": 0.0,
            "timestamp": TEN_AM,
            "top_exposures": [{"account_id": "A7", "amount": 9e6}],
            "top_contributors": [],
        },
    )
    bus.flush()
    config = {"ops": {"alert": {"config": {**span(FIRM_RISK, 0, 1), "levels": {}}}}}
    for _ in range(2):
        assert (
            job("firm_alert").execute_in_process(run_config=config, resources=told, instance=instance).success
        )
    said = [decode(NOTIFICATIONS, r.value) for r in bus.read_all(NOTIFICATIONS)]
    first, repeated = [e for e in said if "text" in e]
    (delivered,) = [e for e in said if e.get("status")]
    assert (delivered["status"], delivered["rung"], delivered["receipt"]) == (
        "DELIVERED",
        "FIRM_EXPOSURE_BREACH",
        "receipt-1",
    )
    (mail,) = FirmNotifier.taken
    assert mail.recipient == "risk@broker.example"
    assert first["text"] in mail.text
    assert first["notification_id"] == repeated["notification_id"]
    assert first["text"] == (
        "Firm beta-weighted exposure is $10,500,000.00, limit $10,000,000.00: CLEAR -> BREACH; most of it "
        "from A7."
    )


def test_timers_wait_for_a_clock_that_moves_and_a_deadline_that_has_come() -> None:
    assert reason_to_wait(None, 0, 5) is not None
    assert reason_to_wait(10, 10, 5) is not None
    assert reason_to_wait(10, 0, None) is not None
    assert reason_to_wait(10, 0, 11) is not None
    assert reason_to_wait(10, 9, 10) is None


def test_the_relay_waits_until_a_message_was_the_oldest_twice() -> None:
    assert [
        still_waiting(None, 7),
        still_waiting("6", 7),
        still_waiting("7", 7),
        still_waiting("", None),
    ] == [False, False, True, False]
