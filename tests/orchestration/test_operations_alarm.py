"""What goes wrong in Dagster reaches the firm's address once, with a link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import select

from margin_platform.store.store import Store
from margin_platform.store.tables import notifications
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.notifier import NotifierResource
from sensors.alarms.failed_checks import failed_checks
from sensors.alarms.stopped_streams import stopped_streams
from sensors.run_failures import run_failures


@dg.op
def broken() -> None:
    raise RuntimeError("no such broker")


@dg.asset_check(asset="margin_snapshots", name="requirements_are_not_negative")
def unsound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, metadata={"broken": 3})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("MARGIN_FIRM_EMAIL", "risk@broker.example")
    monkeypatch.setenv("MARGIN_DAGSTER_URL", "http://127.0.0.1:3000")
    url = f"sqlite:///{tmp_path / 'store.db'}"
    Store(url).close()
    return {
        "decisions": DecisionsResource(store_url=url),
        "notifier": NotifierResource(aws=AwsResource(endpoint_url="http://127.0.0.1:1")),
    }


def mails(needed: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The recorded notices: whom they are for, their subject and body, one a channel."""
    columns = (notifications.c.account_id, notifications.c.subject, notifications.c.body)
    with needed["decisions"].store() as store, store.read() as connection:
        return [tuple(row) for row in connection.execute(select(*columns))]


def failure(instance: dg.DagsterInstance, tags: dict[str, str]) -> dg.ExecuteInProcessResult:
    job = dg.GraphDefinition("enforcement", node_defs=[broken]).to_job(name="enforcement")
    return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


def test_a_run_that_failed_for_good_is_told_once_however_often_its_span_is_asked_for(
    instance: dg.DagsterInstance, needed: dict[str, Any]
) -> None:
    tags = {"kafka/topic": "margin.status.v1", "kafka/span": "margin.status.v1[0] 3-9"}
    for more in ({"dagster/will_retry": "true"}, {}, {}):
        run = failure(instance, tags | more)
        with dg.build_run_status_sensor_context(
            sensor_name="run_failures",
            dagster_event=run.get_run_failure_event(),
            dagster_instance=instance,
            dagster_run=instance.get_run_by_id(run.run_id),
            resources=needed,
        ).for_run_failure() as context:
            run_failures(context)
        if "dagster/will_retry" in more:
            assert mails(needed) == []
            first = None
        else:
            first = first or run.run_id
    ((account, subject, body),) = mails(needed)
    assert (account, subject) == ("FIRM", "Margin platform: run failed")
    assert "enforcement failed on margin.status.v1[0] 3-9" in body
    assert f"http://127.0.0.1:3000/runs/{first}" in body


def test_a_check_that_fails_in_a_run_of_any_job_is_told(
    instance: dg.DagsterInstance, needed: dict[str, Any]
) -> None:
    def ticked(cursor: str | None) -> str | None:
        """One tick of the sensor as the daemon evaluates it."""
        with dg.build_sensor_context(instance=instance, cursor=cursor, resources=needed) as context:
            return failed_checks.evaluate_tick(context).cursor

    began = ticked(None)
    checks = dg.define_asset_job("by_hand", selection=dg.AssetSelection.checks(unsound))
    job = dg.Definitions(asset_checks=[unsound], jobs=[checks]).resolve_job_def("by_hand")
    job.execute_in_process(instance=instance)
    ticked(began)
    ((_, subject, _),) = mails(needed)
    assert subject == "Margin platform: check failed"


def test_streams_that_a_person_stopped_and_a_check_that_failed_are_told_once_with_a_link(
    instance: dg.DagsterInstance, needed: dict[str, Any]
) -> None:
    checks = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(unsound))
    definitions = dg.Definitions(asset_checks=[unsound], jobs=[checks])
    run = definitions.resolve_job_def("checks").execute_in_process(instance=instance)
    for sensor, name in ((failed_checks, "failed_checks"), (stopped_streams, "stopped_streams")):
        for _ in range(2):
            with dg.build_run_status_sensor_context(
                sensor_name=name,
                dagster_event=run.get_run_success_event(),
                dagster_instance=instance,
                dagster_run=run.dagster_run,
                resources=needed,
            ) as context:
                sensor(context)
    check, stopped = mails(needed)
    assert check[1] == "Margin platform: check failed"
    assert "requirements_are_not_negative of margin_snapshots failed: {'broken': 3}" in check[2]
    assert "http://127.0.0.1:3000/assets/margin_snapshots?view=checks" in check[2]
    assert (stopped[1], f"/runs/{run.run_id}" in stopped[2]) == ("Margin platform: streams stopped", True)
