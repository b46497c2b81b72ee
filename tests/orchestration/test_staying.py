"""A run that stays takes what comes after its span, and leaves at once when it is asked to."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.keys import topic_key
from jobs import ladder_timers
from jobs.span_runs import staying
from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, PRICES, RESTRICTIONS, decode
from margin_platform.contracts.offsets import Record
from margin_platform.definitions import definitions
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors.enforcement import enforcement
from sensors.topic_ticks import topic_sensor

pytestmark = pytest.mark.kafka
TEN_AM = 1_582_210_800_000  # 2020-02-20 10:00 New York


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def resources(bus: Bus, tmp_path: Path) -> dict[str, Any]:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    Store(url).close()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5, stay_seconds=1)
    return {"kafka": kafka, "decisions": DecisionsResource(store_url=url)}


def fall(bus: Bus, account: str) -> None:
    """A status event of an account that is $1,000 short."""
    figures = {"gross_mv": 1e5, "equity": 24e3, "requirement": 25e3, "excess": -1e3, "cash": -75e3}
    event = {"account_id": account, "calc_id": f"calc-{account}", "timestamp": TEN_AM, "positions": []}
    version = {"policy_version": current_policy().version, "margin_type": "REG_T"}
    bus.produce(MARGIN_STATUS, event | figures | version)
    bus.flush()


def enforced(
    instance: dg.DagsterInstance, resources: dict[str, Any], tags: dict[str, str] | None = None
) -> dg.ExecuteInProcessResult:
    where = {"topic": MARGIN_STATUS, "partition": 0, "start": 0, "end": 1}
    config = {"ops": {"enforce": {"config": where}}}
    return definitions.resolve_job_def("enforcement").execute_in_process(
        config, instance, resources=resources, raise_on_error=False, tags=tags
    )


def test_a_run_takes_what_comes_while_it_stays_and_the_sensor_goes_on_behind_it(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any]
) -> None:
    fall(bus, "A1")

    def fall_again_after_the_first_call() -> None:
        with Bus(bus.bootstrap) as other:
            assert other.poll(MARGIN_CALLS, {0: 0}, 60.0)
            fall(other, "A2")

    market = threading.Thread(target=fall_again_after_the_first_call)
    market.start()
    result = enforced(instance, resources)
    market.join()
    assert result.success
    called = [decode(MARGIN_CALLS, record.value) for record in bus.read_all(MARGIN_CALLS)]
    assert [(call["account_id"], call["run_id"]) for call in called] == [
        ("A1", result.run_id),
        ("A2", result.run_id),
    ]
    (run,) = instance.get_runs()
    assert run.tags["kafka/span"] == "margin.status.v1[0] 0-2"
    seen = instance.fetch_observations(topic_key(MARGIN_STATUS), limit=5).records
    offsets = [r.asset_observation.metadata["offsets"].value for r in seen if r.asset_observation]
    assert offsets == ["margin.status.v1[0] 1-2", "margin.status.v1[0] 0-1"]
    fall(bus, "A3")
    asked = enforcement(dg.build_sensor_context(instance=instance, resources=resources))
    assert [request.tags["kafka/span"] for request in asked.run_requests] == ["margin.status.v1[0] 2-3"]


def test_a_run_that_makes_room_goes_on_until_the_next_one_works(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sensor asks for the next run while it works; events of between are decided by it, each once."""
    monkeypatch.setattr(staying, "MAKES_ROOM_AFTER", 0.0)
    monkeypatch.setattr(topic_sensor, "MAKES_ROOM_AFTER", 0.0)
    fall(bus, "A1")
    resources["kafka"] = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5, stay_seconds=3)
    requests: list[dg.RunRequest] = []
    patience = set[float]()
    real = Bus.poll

    def polled(self: Bus, topic: str, *rest: Any) -> list[Record]:
        """Let an event come first, then the sensor's tick, then the next run begin."""
        if topic == MARGIN_STATUS and threading.current_thread() is not sensor:
            patience.add(rest[1])
        if topic == MARGIN_STATUS and threading.current_thread() is not sensor and not requests:
            fall(bus, "A2")
            sensor.start()
            sensor.join()
        elif requests and not instance.get_runs(next_run):
            (asked,) = requests
            tags = dict(asked.tags)
            run = dg.DagsterRun("enforcement", tags=tags, status=dg.DagsterRunStatus.STARTED)
            instance.add_run(run)
            fall(bus, "A3")
        return real(self, topic, *rest)

    def ticked() -> None:
        context = dg.build_sensor_context(instance=instance, resources=resources)
        requests.extend(enforcement(context).run_requests)

    sensor, next_run = (
        threading.Thread(target=ticked),
        dg.RunsFilter(tags={"kafka/span": "margin.status.v1[0] 1-2"}),
    )
    monkeypatch.setattr(Bus, "poll", polled)
    result = enforced(instance, resources, {"kafka/topic": MARGIN_STATUS})
    assert result.success
    called = [decode(MARGIN_CALLS, record.value)["account_id"] for record in bus.read_all(MARGIN_CALLS)]
    assert called == ["A1", "A2", "A3"]
    log = [entry.user_message for entry in instance.all_logs(result.run_id)]
    (successor,) = instance.get_runs(next_run)
    assert f"run {successor.run_id} goes on" in log
    assert patience == {3.0}, "an event that comes meanwhile would wait for the next run to start"


@pytest.mark.parametrize(
    ("terminated", "ends_as"), [(False, dg.DagsterRunStatus.SUCCESS), (True, dg.DagsterRunStatus.CANCELED)]
)
def test_a_run_that_waits_ends_well_when_its_worker_is_to_end_unless_a_person_terminates_it(
    bus: Bus,
    instance: dg.DagsterInstance,
    resources: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    terminated: bool,
    ends_as: dg.DagsterRunStatus,
) -> None:
    fall(bus, "A1")

    def interrupted(*_: object) -> None:
        (run,) = instance.get_runs()
        if terminated:
            instance.report_run_canceling(run)
        raise dg.DagsterExecutionInterruptedError

    monkeypatch.setattr(Bus, "poll", interrupted)
    enforced(instance, resources)
    (run,) = instance.get_runs()
    assert run.status == ends_as
    (known,) = resources["decisions"].decided(Consumer.ENFORCEMENT, MARGIN_STATUS)
    assert known.next_offset == 1


@pytest.mark.parametrize(("stays", "closed"), [(0.0, []), (3.0, ["A1"])])
def test_a_run_of_the_timers_fires_what_falls_due_while_it_stays(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any], stays: float, closed: list[str]
) -> None:
    """The call is half an hour old when the clock moves on: close-only is due."""
    fall(bus, "A1")
    assert enforced(instance, resources).success
    bus.produce(PRICES, {"symbol": "AAPL", "price": 80.0, "sequence": 1, "timestamp": TEN_AM + 1_860_000})
    bus.flush()
    resources["kafka"] = KafkaResource(bootstrap_servers=bus.bootstrap, stay_seconds=stays)
    config = {"ops": {"fire_timers": {"config": {"now_ms": TEN_AM + 60_000}}}}
    timers = definitions.resolve_job_def("ladder_timers")
    result = timers.execute_in_process(config, instance, resources=resources)
    restricted = [decode(RESTRICTIONS, record.value) for record in bus.read_all(RESTRICTIONS)]
    assert [event["account_id"] for event in restricted] == closed
    assert {event["run_id"] for event in restricted} <= {result.run_id}


def test_the_timers_leave_status_events_to_a_run_of_enforcement_that_works(
    bus: Bus, instance: dg.DagsterInstance, resources: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both would decide them, and one of the two for nothing."""
    fall(bus, "A1")
    instance.add_run(dg.DagsterRun("enforcement", status=dg.DagsterRunStatus.STARTED))
    looks, is_decided = list[bool](), ladder_timers._is_decided

    def looked(store: Store, ends: Mapping[int, int]) -> bool:
        looks.append(is_decided(store, ends))
        if len(looks) == 1:
            assert enforced(instance, resources).success
        return looks[-1]

    monkeypatch.setattr(ladder_timers, "_is_decided", looked)
    config = {"ops": {"fire_timers": {"config": {"now_ms": TEN_AM + 60_000}}}}
    resources["kafka"] = KafkaResource(bootstrap_servers=bus.bootstrap)
    timers = definitions.resolve_job_def("ladder_timers")
    result = timers.execute_in_process(config, instance, resources=resources)
    assert looks == [False, True]
    (called,) = [decode(MARGIN_CALLS, record.value) for record in bus.read_all(MARGIN_CALLS)]
    assert called["run_id"] != result.run_id
