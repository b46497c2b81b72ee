"""What the stream tests share: one Spark session, and a driver process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from margin_platform.kafka.bus import Bus
from spark.account_shards.query import SESSION
from spark.session import DELTA, build
from tests.support.driver import driver_command
from tests.support.running import Running
from tests.support.waiting import wait_for


@pytest.fixture(scope="session")
def spark_session() -> Iterator[SparkSession]:
    session = build("margin-tests", "local[2]", SESSION | DELTA)
    yield session
    session.stop()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def running(spark_session: SparkSession, bus: Bus, work: Path) -> Iterator[Running]:
    streams = Running(spark_session, bus, work)
    yield streams
    streams.stop()


class Driver:
    """A driver as its own process, its micro-batches as they come."""

    def __init__(self, command: list[str], work: Path) -> None:
        self.batches: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(work / "driver.log").open("ab"),
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.batches.append(json.loads(line))

    def kill(self) -> None:
        """kill -9 of the driver and its JVM."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end_input(self) -> int:
        """What happens when the parent dies: standard input ends. Returns the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture
def start_program(work: Path) -> Iterator[Callable[[list[str]], Driver]]:
    """Starts a command as a driver; what still runs at the end is killed."""
    started: list[Driver] = []

    def start(command: list[str]) -> Driver:
        started.append(Driver(command, work))
        return started[-1]

    yield start
    for driver in started:
        if driver.process.poll() is None:
            driver.kill()


@pytest.fixture
def start_driver(work: Path, start_program: Callable[[list[str]], Driver]) -> Callable[..., Driver]:
    """Starts `python -m spark.driver`."""

    def start(bootstrap: str, *options: str) -> Driver:
        return start_program([*driver_command(bootstrap, work), *options])

    return start


@pytest.fixture
def until() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def events_of(bus: Bus) -> Callable[[str], list[dict[str, Any]]]:
    """Every event now on a topic."""
    return lambda topic: [json.loads(record.value or b"null") for record in bus.read_all(topic)]
