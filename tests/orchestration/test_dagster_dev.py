"""`make dev` alone, as somebody new to the code starts it: no broker, no settings, no stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from margin_platform.definitions import definitions
from margin_platform.stack import ports

ROOT = Path(__file__).parents[2]
FED_BY_KAFKA = {
    "enforcement",
    "firm_alert",
    "liquidation",
    "notification_of_calls",
    "notification_of_orders",
    "notification_of_restrictions",
    "stream_health",
}
LOCATION = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    ... on RepositoryLocation { repositories { jobs { name } sensors { name } } }
    ... on PythonError { message } } } } } }"""
TICKS = """{ sensorsOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "margin_platform"}) {
    ... on Sensors { results { name sensorState { ticks(limit: 1) { status skipReason error { message } }
    } } } } }"""


class DagsterDev:
    """A running `make dev` with an empty environment but for the address of a broker that is not there."""

    def __init__(self, folder: Path) -> None:
        self.broker = f"127.0.0.1:{ports.any_free()}"
        self.url = f"http://127.0.0.1:{(port := ports.any_free())}/graphql"
        self.log = folder / "dagster-dev.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "margin_platform.stack.dev", "-p", str(port)],
                env={"PATH": os.defpath, "MARGIN_KAFKA": self.broker},
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def await_answer(self, query: str, enough: Callable[[Any], Any], seconds: float = 120) -> Any:
        """What `enough` makes of the answer, once it makes something of it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if found := enough(httpx.post(self.url, json={"query": query}, timeout=10).json()["data"]):
                    return found
            except httpx.TransportError:
                pass
            time.sleep(0.3)
        raise AssertionError(f"no such answer; dagster dev said:\n{self.log.read_text()[-4000:]}")

    def interrupt(self) -> list[psutil.Process]:
        """Ctrl-C; the processes it started that still live afterwards."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        return psutil.wait_procs(children, timeout=20)[1]


@pytest.fixture
def dagster_dev(tmp_path: Path) -> Iterator[DagsterDev]:
    started = DagsterDev(tmp_path)
    yield started
    if started.process.poll() is None:
        for orphan in started.interrupt():
            orphan.kill()


def test_it_loads_and_its_sensors_skip_naming_the_address_they_miss(dagster_dev: DagsterDev) -> None:
    def loaded(data: Any) -> Any:
        (entry,) = data["workspaceOrError"]["locationEntries"]
        return entry["locationOrLoadError"]

    location = dagster_dev.await_answer(LOCATION, loaded)
    assert "message" not in location, location
    by_get = httpx.get(dagster_dev.url, params={"query": LOCATION}, timeout=10)
    assert (by_get.status_code, by_get.text) == (405, "Dagster's guard: GraphQL is answered by POST only\n")
    (repository,) = location["repositories"]
    expected = definitions.get_repository_def()
    assert {s["name"] for s in repository["sensors"]} == {s.name for s in expected.sensor_defs}

    def ticked(data: Any) -> Any:
        """The ticks that ended, once one is of a sensor that Kafka feeds:
        the daemon takes them in turn, and each asks for a broker.
        """
        ticks = [
            (s["name"], tick) for s in data["sensorsOrError"]["results"] for tick in s["sensorState"]["ticks"]
        ]
        ended = {name: tick for name, tick in ticks if tick["status"] != "STARTED"}
        return ended if ended.keys() & FED_BY_KAFKA else None

    for name, tick in dagster_dev.await_answer(TICKS, ticked).items():
        assert tick["error"] is None
        if name in FED_BY_KAFKA:
            assert (tick["status"], dagster_dev.broker in tick["skipReason"]) == ("SKIPPED", True)
    assert dagster_dev.interrupt() == []
