"""Runs that failed for good while something was away: their spans are decided once it is back,
without a new event.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_STATUS
from margin_platform.contracts.offsets import Span
from margin_platform.definitions import definitions
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors.enforcement import enforcement
from sensors.topic_ticks import topic_undone
from tests.support import status_events

NO_BROKER = KafkaResource(bootstrap_servers="127.0.0.1:1", connect_seconds=0.5)


def _run(instance: dg.DagsterInstance, asked: dg.RunRequest, **resources: object) -> bool:
    return (
        definitions.resolve_job_def("enforcement")
        .execute_in_process(
            asked.run_config, instance, resources=resources, tags=asked.tags, raise_on_error=False
        )
        .success
    )


@pytest.mark.kafka
def test_what_failed_for_good_in_an_outage_is_decided_after_it_without_a_new_event(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = status_events.StatusFeed()
    seen = desk.open("ACC-1", cash=-60_000, price=100.0, shares=1000) + desk.price(90.0, 2)
    for event in seen:
        bus.produce(MARGIN_STATUS, event)
    bus.flush()
    decisions = DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}")
    Store(decisions.url).close()
    kafka = KafkaResource(bootstrap_servers=bus.bootstrap, poll_seconds=0.5)

    def ticked(cursor: str | None) -> dg.SensorResult:
        given = {"kafka": kafka, "decisions": decisions}
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=given)
        result = enforcement(context)
        assert isinstance(result, dg.SensorResult)
        return result

    with dg.DagsterInstance.ephemeral() as instance:
        first = ticked(None)
        assert not _run(instance, first.run_requests[0], kafka=NO_BROKER, decisions=decisions)
        assert not ticked(first.cursor).run_requests, "sooner than a minute after the failure"
        monkeypatch.setattr(topic_undone, "AGAIN_AFTER", dt.timedelta(0))
        again = ticked(first.cursor)
        (asked,) = again.run_requests
        assert asked.run_key != first.run_requests[0].run_key
        assert (asked.run_config, asked.tags["kafka/span"]) == (
            first.run_requests[0].run_config,
            f"margin.status.v1[0] 0-{len(seen)}",
        )
        assert again.cursor == first.cursor
        assert _run(instance, asked, kafka=kafka, decisions=decisions)
        assert not ticked(first.cursor).run_requests
    with decisions.reader() as store, store.read() as connection:
        known = progress.of(connection, Consumer.ENFORCEMENT, MARGIN_STATUS, 0)
    assert known is not None
    assert known.next_offset == len(seen)


def _failed(instance: dg.DagsterInstance, span: Span) -> None:
    config = {"ops": {"alert": {"config": span._asdict()}}}
    tags = {"kafka/topic": span.topic, "kafka/span": str(span)}
    status = dg.DagsterRunStatus.FAILURE
    instance.add_run(dg.DagsterRun(job_name="firm_alert", run_config=config, tags=tags, status=status))


@pytest.mark.parametrize(("failures", "minutes", "asks"), [(4, 1, True), (8, 1, False), (20, 16, True)])
def test_a_span_that_keeps_failing_is_asked_for_less_often(
    failures: int, minutes: int, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 4, 8, ... failed runs: 1, 2, 4, 8, 16 minutes."""
    real = dt.datetime

    class Later(dt.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + dt.timedelta(minutes=minutes)

    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(failures):
            _failed(instance, Span(FIRM_RISK, 0, 5, 9, "id"))
        monkeypatch.setattr(topic_undone.dt, "datetime", Later)
        found = topic_undone.requests(instance, "firm_alert", FIRM_RISK, "id", lambda _: False)
        other = topic_undone.requests(instance, "firm_alert", FIRM_RISK, "of a topic since", lambda _: False)
    assert (bool(found), other) == (asks, [])


def test_each_alert_of_the_firm_that_failed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_undone, "AGAIN_AFTER", dt.timedelta(0))
    with dg.DagsterInstance.ephemeral() as instance:
        for start in (1, 3, 3):
            _failed(instance, Span(FIRM_RISK, 0, start, start + 2))
        succeeded = topic_undone.by_runs(instance, "firm_alert")
        asked = topic_undone.requests(instance, "firm_alert", FIRM_RISK, None, succeeded, each=True)
        assert sorted(request.tags["kafka/span"] for request in asked) == [
            "firm.risk.v1[0] 1-3",
            "firm.risk.v1[0] 3-5",
        ]
