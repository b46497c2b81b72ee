"""The sensors against a real broker: the same events always ask for the same runs, none is lost, and no
broker is no error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from jobs.span_runs.run_report import tag
from margin_platform.contracts.messages import FIRM_RISK, MARGIN_STATUS, PRICES
from margin_platform.contracts.offsets import Record, Span, TopicRecreated
from margin_platform.definitions import definitions
from margin_platform.firm.limits import START, alerts_of
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration.run_tags import WORKER_TAG
from margin_platform.policy.policy import current_policy
from margin_platform.store.store import Store
from margin_platform.store.unit_of_work import post
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors import enforcement, liquidation, notification
from sensors.firm_alert import firm_alert, text_of
from sensors.ladder_timers import ladder_timers
from sensors.outbox_relay import outbox_relay
from sensors.stream_health import StreamRun, stream_health, verdict_on
from sensors.topic_ticks.topic_cursor import Cursor, EventsLost
from sensors.topic_ticks.topic_sensor import WantedRun, runs_of, tick

NO_BROKER = "127.0.0.1:1"


def status(account: str, number: int) -> dict[str, object]:
    return {
        "account_id": account,
        "calc_id": f"calc-{number}",
        "timestamp": 1_582_232_400_000 + number,
        "status": "MARGIN_CALL",
    }


def firm(exposure: float, loss: float, at: int) -> dict[str, object]:
    return {
        "scenario": "-0.06",
        "worst": True,
        "firm_beta_weighted_exposure": exposure,
        "firm_loss": loss,
        "timestamp": at,
        "top_exposures": [{"account_id": "A1", "amount": exposure}],
        "top_contributors": [{"account_id": "A2", "amount": loss}],
    }


def records(count: int, accounts: int, partition: int = 0) -> list[Record]:
    return [Record(MARGIN_STATUS, partition, n, f"A{n % accounts}", b"{}", 0) for n in range(count)]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def offsets_of(request: dg.RunRequest) -> str:
    return request.tags["kafka/span"].rpartition(" ")[2]


def evaluate(kafka: KafkaResource, cursor: str | None, instance: dg.DagsterInstance) -> dg.SensorResult:
    result = tick(
        dg.build_sensor_context(instance=instance, cursor=cursor),
        kafka,
        MARGIN_STATUS,
        "enforcement",
        "enforce",
        is_decided=lambda _: True,
    )
    assert isinstance(result, dg.SensorResult)
    return result


@pytest.mark.kafka
def test_the_same_events_fed_twice_ask_for_the_same_runs(bus: Bus, instance: dg.DagsterInstance) -> None:
    for number in range(3):
        bus.produce(MARGIN_STATUS, status(f"A{number}", number))
    bus.flush()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)
    first, again = (evaluate(kafka, None, instance) for _ in range(2))
    topic_id = bus.topic_id(MARGIN_STATUS)
    assert [r.run_key for r in first.run_requests or []] == [f"margin.status.v1@{topic_id}:0:0-3"]
    assert first == again
    request = (first.run_requests or [])[0]
    config = {"topic": MARGIN_STATUS, "partition": 0, "start": 0, "end": 3, "topic_id": topic_id}
    assert request.run_config == {"ops": {"enforce": {"config": config}}}
    assert request.tags["margin/accounts"] == "A0, A1, A2"
    assert request.tags["kafka/span"] == "margin.status.v1[0] 0-3"


@pytest.mark.kafka
def test_the_cursor_moves_past_what_was_asked_for_and_no_event_is_asked_for_twice(
    bus: Bus, instance: dg.DagsterInstance
) -> None:
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)
    cursor, spans = None, []
    for number in range(4):
        bus.produce(MARGIN_STATUS, status("A1", number))
        bus.flush()
        result = evaluate(kafka, cursor, instance)
        cursor = result.cursor
        spans += [offsets_of(r) for r in result.run_requests or []]
    assert spans == ["0-1", "1-2", "2-3", "3-4"]
    quiet = evaluate(KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=0), cursor, instance)
    assert not quiet.run_requests
    assert quiet.cursor == cursor


@pytest.mark.kafka
def test_a_topic_created_again_is_refused_not_skipped(bus: Bus, instance: dg.DagsterInstance) -> None:
    """Also where the new topic has grown past the cursor: its id tells."""
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=0)
    with pytest.raises(
        TopicRecreated,
        match="cursor stands at 40, the topic ends at 0.* `margin progress forget margin.status.v1`",
    ):
        evaluate(kafka, json.dumps({"0": 40}), instance)
    for number in range(8):
        bus.produce(MARGIN_STATUS, status("A1", number))
    bus.flush()
    before = evaluate(KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5), None, instance).cursor
    recreate(bus, MARGIN_STATUS)
    for number in range(10):
        bus.produce(MARGIN_STATUS, status("A1", number))
    bus.flush()
    with pytest.raises(
        TopicRecreated, match="deleted and created again .* `margin progress forget margin.status.v1`"
    ):
        evaluate(kafka, before, instance)


def forget(bus: Bus, topic: str, before: int) -> None:
    """Deletes what stands before an offset of partition 0, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    admin.delete_records({TopicPartition(topic, 0): before})
    admin.close()


def recreate(bus: Bus, topic: str) -> None:
    """Deletes a topic and creates it again; returns when the broker names its new id."""
    old = bus.topic_id(topic)
    admin = KafkaAdminClient(bootstrap_servers=bus.bootstrap)
    admin.delete_topics([topic])
    end = time.monotonic() + 30
    while topic in admin.list_topics():
        assert time.monotonic() < end
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()
    while True:
        try:
            with Bus(bus.bootstrap) as fresh:
                if fresh.topic_id(topic) != old:
                    return
        except LookupError:
            assert time.monotonic() < end


@pytest.mark.kafka
def test_events_lost_before_they_were_read_fail_the_tick_until_the_cursor_is_reset(
    bus: Bus, instance: dg.DagsterInstance
) -> None:
    for number in range(5):
        bus.produce(MARGIN_STATUS, status("A1", number))
    bus.flush()
    forget(bus, MARGIN_STATUS, 3)
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)
    for _ in range(2):
        with pytest.raises(
            EventsLost, match=r"margin\.status\.v1\[0\] 1-3: deleted by retention .* `margin progress skip`"
        ):
            evaluate(kafka, json.dumps({"0": 1}), instance)
    reset = evaluate(kafka, None, instance)
    assert [offsets_of(r) for r in reset.run_requests or []] == ["3-5"]
    assert evaluate(kafka, json.dumps({"0": 3}), instance) == reset  # what was acted on already may go


@pytest.mark.kafka
def test_the_firm_alert_says_what_it_never_read(bus: Bus, instance: dg.DagsterInstance) -> None:
    for at in range(1, 4):
        bus.produce(FIRM_RISK, firm(9e6, 0, at))
    bus.flush()
    forget(bus, FIRM_RISK, 2)
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)
    with pytest.raises(EventsLost, match=r"firm\.risk\.v1\[0\] 1-2"):
        firm_alert(
            dg.build_sensor_context(
                instance=instance, cursor=text_of(Cursor({0: 1}), START), resources={"kafka": kafka}
            )
        )


@pytest.mark.kafka
def test_the_firm_alert_starts_a_run_only_when_a_level_changes(
    bus: Bus, instance: dg.DagsterInstance
) -> None:
    morning = 1_582_210_800_000
    for event in (firm(1e6, 0, morning), firm(9e6, 0, morning + 1), firm(9.5e6, 0, morning + 2)):
        bus.produce(FIRM_RISK, event)
    bus.flush()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=5)
    first = firm_alert(dg.build_sensor_context(instance=instance, resources={"kafka": kafka}))
    assert [r.tags["margin/account"] for r in first.run_requests] == ["A1"]
    bus.produce(FIRM_RISK, firm(9.6e6, 0, morning + 3))
    bus.flush()
    second = firm_alert(
        dg.build_sensor_context(instance=instance, cursor=first.cursor, resources={"kafka": kafka})
    )
    assert not second.run_requests


def test_firm_levels_change_at_the_limit_and_not_on_it() -> None:
    """Exposure: warning beyond 80% of 10,000,000 = 8,000,000; breach beyond 10,000,000.

    Loss: breach beyond 1,000,000.
    """
    policy = current_policy().firm
    sweeps = [
        (8_000_000.00, 0),
        (8_000_000.01, 0),
        (10_000_000.00, 0),
        (-10_000_000.01, 1_000_000.01),
        (0, 0),
    ]
    steps = [firm(exposure, loss, at) for at, (exposure, loss) in enumerate(sweeps, start=1)]
    alerts, levels = alerts_of(steps, START, policy)
    assert [(a.kind, a.previous, a.level) for a in alerts] == [
        ("exposure", "CLEAR", "WARNING"),
        ("exposure", "WARNING", "BREACH"),
        ("loss", "CLEAR", "BREACH"),
        ("exposure", "BREACH", "CLEAR"),
        ("loss", "BREACH", "CLEAR"),
    ]
    assert levels == START
    assert "A2" in alerts[2].sentence()


def test_an_exposure_that_wavers_on_a_line_is_one_episode() -> None:
    """2% below 8,000,000 is 7,840,000, and below 10,000,000 it is 9,800,000: there the level ends."""
    amounts = (
        8_000_001,
        7_999_999,
        8_000_001,
        10_000_001,
        9_900_000,
        10_000_001,
        9_800_000,
        7_840_001,
        7_840_000,
    )
    alerts, _ = alerts_of(
        [firm(amount, 0, at) for at, amount in enumerate(amounts, start=1)], START, current_policy().firm
    )
    assert [(a.timestamp, a.level) for a in alerts] == [
        (1, "WARNING"),
        (4, "BREACH"),
        (7, "WARNING"),
        (9, "CLEAR"),
    ]


ON_THE_BROKER = [
    *enforcement.SENSORS,
    *liquidation.SENSORS,
    *(s for s in notification.SENSORS if s is not notification.notification_retry),
    firm_alert,
    ladder_timers,
    outbox_relay,
    stream_health,
]


@pytest.mark.parametrize("sensor", ON_THE_BROKER, ids=lambda s: s.name)
def test_a_sensor_without_a_broker_skips_and_names_the_address(
    sensor: dg.SensorDefinition, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    decisions = DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}")
    with Store(decisions.url) as store, store.write() as connection:
        # for the relay: a message left since the look before
        post(connection, [(MARGIN_STATUS, status("A1", 1))])
    given = {
        "kafka": KafkaResource(bootstrap_servers=NO_BROKER, poll_seconds=0, connect_seconds=0.5),
        "decisions": decisions,
    }
    skipped = sensor(
        dg.build_sensor_context(
            instance=instance, cursor="1" if sensor is outbox_relay else None, resources=given
        )
    )
    assert isinstance(skipped, dg.SkipReason)
    assert NO_BROKER in str(skipped.skip_message)


@pytest.mark.kafka
def test_the_timers_wait_for_a_broker_that_stops_answering_while_the_clock_is_read(
    bus: Bus, instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered where the topic ends; the records before that are asked for, one more than there are,
    and do not come.
    """
    bus.produce(PRICES, {"symbol": "SPY", "price": 300.0, "timestamp": 1})
    bus.flush()
    real = Bus.read_range
    monkeypatch.setattr(
        Bus,
        "read_range",
        lambda self, topic, part, start, end: real(self, topic, part, start, end + 1, timeout_s=0.5),
    )
    decisions = DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}")
    needed = {"kafka": KafkaResource(bootstrap_servers=bus.bootstrap), "decisions": decisions}
    skipped = ladder_timers(dg.build_sensor_context(instance=instance, resources=needed))
    assert isinstance(skipped, dg.SkipReason)
    assert bus.bootstrap in str(skipped.skip_message)


@pytest.mark.kafka
def test_while_a_run_works_on_a_topic_its_events_wait_and_share_the_next_run(
    bus: Bus, instance: dg.DagsterInstance
) -> None:
    earlier = dg.DagsterRun(
        job_name="enforcement", tags={"kafka/topic": MARGIN_STATUS}, status=dg.DagsterRunStatus.STARTED
    )
    instance.add_run(earlier)
    bus.produce(MARGIN_STATUS, status("A1", 1))
    bus.flush()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=1)
    context = dg.build_sensor_context(instance=instance)
    skipped = tick(context, kafka, MARGIN_STATUS, "enforcement", "enforce", is_decided=lambda _: True)
    assert isinstance(skipped, dg.SkipReason)
    assert earlier.run_id in str(skipped.skip_message)
    bus.produce(MARGIN_STATUS, status("A2", 2))
    bus.flush()
    instance.report_run_canceled(earlier)
    (request,) = evaluate(kafka, None, instance).run_requests or []
    assert offsets_of(request) == "0-2"


@pytest.mark.kafka
def test_events_wait_for_the_repetition_of_a_run_that_failed(bus: Bus, tmp_path: Path) -> None:
    """Dagster marks a failure that it will repeat, and then with the run that does."""
    bus.produce(MARGIN_STATUS, status("A1", 1))
    bus.flush()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=1)
    given = {
        "kafka": KafkaResource(bootstrap_servers=NO_BROKER, connect_seconds=0.5),
        "decisions": DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}"),
    }
    run = WantedRun(Span(MARGIN_STATUS, 0, 0, 1), ())
    with dg.instance_for_test(overrides={"run_retries": {"enabled": True, "max_retries": 0}}) as instance:
        failed = definitions.resolve_job_def("enforcement").execute_in_process(
            {"ops": {"enforce": {"config": run.config}}},
            instance,
            resources=given,
            tags=run.tags,
            raise_on_error=False,
        )
        assert not failed.success
        context = dg.build_sensor_context(instance=instance)
        skipped = tick(context, kafka, MARGIN_STATUS, "enforcement", "enforce", is_decided=lambda _: True)
        assert isinstance(skipped, dg.SkipReason)
        assert failed.run_id in str(skipped.skip_message)
        instance.add_run_tags(failed.run_id, {"dagster/auto_retry_run_id": "the repetition, over by now"})
        assert evaluate(kafka, None, instance).run_requests


def test_a_storm_of_ten_thousand_accounts_makes_five_runs() -> None:
    runs = runs_of(records(10_000, 10_000), lambda _: True)
    assert len(runs) == 5
    assert [runs[0].span.start, *[r.span.end for r in runs]] == list(range(0, 10_001, 2000))
    assert sum(len(r.accounts) for r in runs) == 10_000
    assert max(len(value) for r in runs for value in r.tags.values()) < 200
    assert runs[0].tags["margin/accounts"].endswith("and 1992 more")


def test_a_run_has_at_most_five_tags_of_ours_whatever_it_works_on() -> None:
    """One account asked for it, several got a message: both tags stand, and the worker's."""
    (run,) = runs_of(records(10, 1), lambda _: True)
    ours = run.tags | tag(["A1", "A2"]) | {WORKER_TAG: "host:1:2@boot"}
    assert sorted(ours) == ["kafka/span", "kafka/topic", "margin/account", "margin/accounts", "margin/worker"]
    assert len(ours) <= 5


def test_events_of_no_interest_move_the_cursor_and_make_no_run() -> None:
    assert runs_of(records(10, 2), lambda _: False) == []
    (run,) = runs_of(records(10, 2), lambda r: r.offset == 7)
    assert run == WantedRun(Span(MARGIN_STATUS, 0, 0, 10), ("A1",))


@pytest.mark.parametrize(
    ("runs", "gone", "starts"),
    [
        ([], (), True),
        ([StreamRun("1", "STARTED", "alive")], (), False),
        ([StreamRun("1", "QUEUED", None)], (), False),
        ([StreamRun("1", "STARTED", "dead")], ("1",), True),
        ([StreamRun("1", "CANCELING", "dead")], ("1",), True),
        ([StreamRun("2", "CANCELED", "dead"), StreamRun("1", "FAILURE", "dead")], (), False),
        ([StreamRun("2", "FAILURE", "dead"), StreamRun("1", "CANCELED", "dead")], (), True),
        ([StreamRun("1", "SUCCESS", "dead")], (), True),
        ([StreamRun("2", "STARTED", "alive"), StreamRun("1", "STARTED", "dead")], ("1",), False),
    ],
)
def test_the_streams_are_started_when_nothing_runs_them_unless_a_person_stopped_them(
    runs: list[StreamRun], gone: tuple[str, ...], starts: bool
) -> None:
    verdict = verdict_on(runs, lambda worker: worker == "alive")
    assert verdict.gone == gone
    assert (verdict.skip is None) is starts
