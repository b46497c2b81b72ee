"""Each topic sensor, as it is deployed, over recorded events:
the same events and cursor always ask for the same runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pytest

from margin_platform.contracts.messages import (
    FIRM_RISK,
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    RESTRICTIONS,
    Event,
)
from margin_platform.kafka.bus import Bus
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors import enforcement, firm_alert, liquidation, notification

pytestmark = pytest.mark.kafka
AT = 1_582_210_800_000  # 2020-02-20 10:00 New York
SENSORS = {
    sensor.name: sensor
    for module in (enforcement, firm_alert, liquidation, notification)
    for sensor in module.SENSORS
}
WARNED = {"exposure": "WARNING", "loss": "CLEAR"}


def status(account: str) -> Event:
    figures = {"equity": 1.0, "gross_mv": 5.0, "requirement": 2.0, "excess": -1.0}
    return {"account_id": account, "calc_id": f"calc-{account}", "timestamp": AT, **figures}


def call(account: str, action: str, **more: Any) -> Event:
    return {
        "account_id": account,
        "call_id": f"c-{account}",
        "correlation_id": f"c-{account}",
        "action": action,
        "deficiency": 1.0,
        "timestamp": AT,
    } | more


def request(account: str) -> Event:
    return call(
        account, "LIQUIDATE", event_id=f"e-{account}", attempt=1, explanation="past due", positions=[]
    )


def restriction(account: str, action: str) -> Event:
    return {"account_id": account, "action": action, "correlation_id": f"c-{account}", "timestamp": AT}


def order(account: str, action: str) -> Event:
    return {
        "account_id": account,
        "order_id": f"o-{account}",
        "action": action,
        "correlation_id": f"c-{account}",
        "timestamp": AT,
        "positions": [{"symbol": "AAPL", "side": "SELL", "qty": 1}],
    }


def firm(account: str, exposure: float) -> Event:
    return {
        "scenario": "-0.06",
        "worst": True,
        "firm_beta_weighted_exposure": exposure,
        "firm_loss": 0.0,
        "timestamp": AT,
        "top_exposures": [{"account_id": account, "amount": exposure}],
        "top_contributors": [],
    }


@dataclass(frozen=True)
class Watched:
    """A sensor's topic, recorded twice: events worth a run among events that are not, and then only such
    as are not.
    """

    sensor: str
    topic: str
    op: str
    first: list[Event]
    second: list[Event]
    accounts: tuple[str, str]  # whose events made the first and the second run
    idle: list[Event] = field(default_factory=list)
    config: tuple[Event, Event] = ({}, {})  # of the runs, beyond their offsets


WATCHED = [
    Watched(
        "enforcement",
        MARGIN_STATUS,
        "enforce",
        [status("A1"), status("A2"), status("A1")],
        [status("A3")],
        ("A1, A2", "A3"),
    ),
    Watched(
        "liquidation",
        MARGIN_CALLS,
        "liquidate",
        [call("W1", "WARNING"), request("A1"), call("W2", "MARGIN_CALL"), request("A2")],
        [request("A3"), call("W3", "MET")],
        ("A1, A2", "A3"),
        [call("W4", "WARNING"), call("W5", "MARGIN_CALL"), call("W6", "HELD")],
    ),
    Watched(
        "notification_of_calls",
        MARGIN_CALLS,
        "notify",
        [request("L1"), call("A1", "WARNING"), call("A2", "MARGIN_CALL")],
        [call("A3", "MET"), call("L2", "HELD")],
        ("A1, A2", "A3"),
        [request("L3"), call("L4", "HELD"), call("L5", "RELEASED")],
    ),
    Watched(
        "notification_of_restrictions",
        RESTRICTIONS,
        "notify",
        [restriction("A1", "CLOSE_ONLY"), restriction("A2", "LIFTED")],
        [restriction("A3", "LIFTED")],
        ("A1, A2", "A3"),
    ),
    Watched(
        "notification_of_orders",
        LIQUIDATION_ORDERS,
        "notify",
        [order("A1", "NEW"), order("A1", "CANCEL"), order("A2", "NEW")],
        [order("O1", "CANCEL"), order("A3", "NEW")],
        ("A1, A2", "A3"),
        [order("O2", "CANCEL")],
    ),
    Watched(
        "firm_alert",
        FIRM_RISK,
        "alert",
        [firm("F1", 1e6), firm("A1", 9e6), firm("F2", 9.1e6)],
        [firm("A3", 11e6)],
        ("A1", "A3"),
        [firm("F3", 11.1e6)],
        ({"levels": {}}, {"levels": WARNED}),
    ),
]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def ticked(watched: Watched, bus: Bus, instance: dg.DagsterInstance, cursor: str | None) -> dg.SensorResult:
    given = {"kafka": KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)}
    if watched.sensor != "firm_alert":
        given["decisions"] = DecisionsResource(store_url="sqlite:////nonexistent/store.db")
    result = SENSORS[watched.sensor](
        dg.build_sensor_context(instance=instance, cursor=cursor, resources=given)
    )
    assert isinstance(result, dg.SensorResult), result
    return result


def record(bus: Bus, topic: str, events: list[Event]) -> None:
    for event in events:
        bus.produce(topic, event)
    bus.flush()


def expected(
    watched: Watched, topic_id: str, start: int, end: int, accounts: str, config: Event
) -> dict[str, Any]:
    """The one run of these offsets, as a request for it reads."""
    where = {"topic": watched.topic, "partition": 0, "start": start, "end": end, "topic_id": topic_id}
    return {
        "run_key": f"{watched.topic}@{topic_id}:0:{start}-{end}",
        "run_config": {"ops": {watched.op: {"config": where | config}}},
        "tags": {
            "kafka/topic": watched.topic,
            "kafka/span": f"{watched.topic}[0] {start}-{end}",
            "margin/accounts" if "," in accounts else "margin/account": accounts,
        },
    }


@pytest.mark.parametrize("watched", WATCHED, ids=lambda w: w.sensor)
def test_recorded_events_fed_twice_ask_for_the_same_runs_and_the_others_for_none(
    watched: Watched, bus: Bus, instance: dg.DagsterInstance
) -> None:
    cursor, start = None, 0
    for events, accounts, config in zip(
        (watched.first, watched.second), watched.accounts, watched.config, strict=True
    ):
        record(bus, watched.topic, events)
        once, again = (ticked(watched, bus, instance, cursor) for _ in range(2))
        (run,) = once.run_requests or []
        found = {"run_key": run.run_key, "run_config": run.run_config, "tags": dict(run.tags)}
        topic_id = bus.topic_id(watched.topic)
        assert topic_id is not None
        assert found == expected(watched, topic_id, start, start + len(events), accounts, config)
        assert once == again
        cursor, start = once.cursor, start + len(events)
    if watched.idle:
        record(bus, watched.topic, watched.idle)
        passed = ticked(watched, bus, instance, cursor)
        assert not passed.run_requests
        assert passed.cursor != cursor
