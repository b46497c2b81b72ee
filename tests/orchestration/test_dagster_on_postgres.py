"""Dagster's history in a real Postgres, with the dagster.yaml that the platform writes: what a run and a
sensor leave there is there after a restart.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.sensor import execute_sensor_iteration

from margin_platform.orchestration import dagster_home
from margin_platform.store.store import Store
from tests.support.postgres import Server
from tests.support.waiting import wait_for

LOCATION = Path(__file__).parent / "counted_location.py"


def on_the_server(server: Server, sql: str) -> list[Any]:
    """Ask the server itself, from outside the database under test."""
    engine = sa.create_engine(f"{server.url}/postgres", isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            answer = connection.execute(sa.text(sql))
            return list(answer.scalars()) if answer.returns_rows else []
    finally:
        engine.dispose()


def postmaster(server: Server) -> dt.datetime:
    """When the server was started."""
    (at,) = on_the_server(server, "SELECT pg_postmaster_start_time()")
    return at  # type: ignore[no-any-return]


@contextmanager
def dagster(home: Path) -> Iterator[tuple[dg.DagsterInstance, WorkspaceProcessContext]]:
    """An instance and a code server, started as after a restart: nothing is shared with the last one."""
    target = PythonFileTarget(
        str(LOCATION),
        attribute="definitions",
        working_directory=str(LOCATION.parents[2]),
        location_name="counted",
    )
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield instance, workspace
        servers = [child for child in psutil.Process().children() if "grpc" in child.cmdline()]
    for server in servers:  # its own end waits for a history that may be gone by then
        server.kill()
    psutil.wait_procs(servers, 30)


def tick(workspace: WorkspaceProcessContext) -> None:
    """One pass of the daemon over its sensors."""
    found = execute_sensor_iteration(workspace, logging.getLogger("sensor"), None, None)
    assert [error for error in found if error is not None] == []


def numbers(instance: dg.DagsterInstance) -> list[int]:
    """What the runs observed, oldest first."""
    page = instance.fetch_observations(dg.AssetKey("counted"), limit=10)
    return [
        int(r.asset_observation.metadata["number"].value)  # type: ignore[union-attr, arg-type]
        for r in reversed(page.records)
    ]


def succeeded(instance: dg.DagsterInstance) -> bool:
    return all(run.is_success for run in instance.get_runs())


def cursor(instance: dg.DagsterInstance) -> str | None:
    (state,) = instance.all_instigator_state()
    return state.instigator_data.cursor  # type: ignore[union-attr]


@pytest.mark.postgres
def test_runs_events_and_the_sensors_cursor_are_in_postgres_after_a_restart(
    postgres_server: Server, tmp_path: Path
) -> None:
    url = f"{postgres_server.url}/dagster_history"
    on_the_server(postgres_server, "CREATE DATABASE dagster_history")
    Store(url).close()  # the decisions are in the same database, as where MARGIN_STORE names one
    dagster_home.prepare(tmp_path, url, launcher="default")
    with dagster(tmp_path) as (instance, workspace):
        tick(workspace)
        wait_for(lambda: numbers(instance) == [0] and succeeded(instance), "a run of the first message")
        before = postmaster(postgres_server)
        postgres_server.restart()  # between two runs: every connection is gone, and Dagster asks on
        assert postmaster(postgres_server) > before
        tick(workspace)
        wait_for(lambda: numbers(instance) == [0, 1] and succeeded(instance), "a run of the second message")
    assert not list(tmp_path.rglob("*.db"))  # nothing fell back to SQLite
    with dagster(tmp_path) as (instance, workspace):
        assert cursor(instance) == "2"
        assert {run.tags["dagster/run_key"] for run in instance.get_runs()} == {"0", "1"}
        tick(workspace)
        wait_for(lambda: numbers(instance) == [0, 1, 2], "a run of the third message")
        (sensor,) = instance.all_instigator_state()
        ticks = instance.get_ticks(sensor.instigator_origin_id, sensor.selector_id)
        assert [len(t.run_ids) for t in ticks] == [1, 1, 1]
        instance.upgrade()  # `dagster instance migrate`
    Store(url).close()
    Store(url, migrate=False).close()
