"""The local stack through the program people run: started, watched, broken, stopped, continued."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from margin_platform.contracts.messages import CASH, PRICES, TOPICS
from margin_platform.kafka.bus import Bus
from margin_platform.stack import ports, processes, state
from spark import progress
from spark.metrics import Endpoint

pytestmark = pytest.mark.kafka
PROGRAM = str(Path(sys.executable).parent / "margin")
ALONE = ("--without", "keeper")  # what a person does is tried here; test_keeper.py tries the keeper
BROKER = ("--only", "kafka", *ALONE)
PARTS = ("--only", "kafka,aws", *ALONE)
TRANSFER = {"transfer_id": "T1", "account_id": "A", "amount": 100.0, "timestamp": 1_582_000_000_000}


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "stack"
    yield folder
    margin("down", folder)
    assert processes.owned_by(folder) == []


def margin(command: str, data: Path, *options: str, code: int = 0) -> Any:
    """Runs a command of `margin` as its users do; its JSON, or its standard error where it failed."""
    done = subprocess.run(
        [PROGRAM, command, "--data", str(data), "--json", *options],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == code, done.stderr
    return orjson.loads(done.stdout) if done.stdout else done.stderr


def part(figures: Any, name: str) -> Any:
    return next(row for row in figures["components"] if row["name"] == name)


def test_a_stack_goes_up_twice_serves_and_leaves_nothing_behind(data: Path) -> None:
    """The second `up` on a running stack changes nothing."""
    figures = margin("up", data, *PARTS)
    assert {row["name"]: row["ready"] for row in figures["components"]} == {"kafka": True, "aws": True}
    assert httpx.get(part(figures, "aws")["url"] + "/moto-api/data.json").text.startswith(
        "local AWS endpoint: serves s3, sns, sqs"
    )
    assert set(figures["topics"].values()) == {0}
    with Bus(part(figures, "kafka")["url"]) as bus:
        bus.produce(CASH, TRANSFER)
    again = margin("up", data, *PARTS)
    assert [row["pid"] for row in again["components"]] == [row["pid"] for row in figures["components"]]
    seen = margin("status", data)
    assert seen["topics"][CASH] == 1
    # no Dagster here to run them
    assert (seen["streams"]["expected"], seen["streams"]["answers"]) == (False, False)
    assert 50 < part(seen, "kafka")["memory_mb"] < 600

    # no other user reads what it writes
    assert [path for path in [data, *data.rglob("*")] if path.lstat().st_mode & 0o077] == []
    assert margin("down", data)["stopped"] == ["kafka", "aws"]
    assert not any(processes.Identity(row["pid"], row["started"]).process() for row in figures["components"])
    assert margin("status", data, code=1)["up"] is False


def test_a_taken_port_is_left_to_its_owner(data: Path) -> None:
    """The stack moves, also where it stood before: its broker's data does not know the port."""
    first = margin("up", data, "--only", "kafka", *ALONE)
    with Bus(part(first, "kafka")["url"]) as bus:
        bus.produce(CASH, TRANSFER)
    margin("down", data)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", part(first, "kafka")["port"]))
        squatter.listen()
        second = margin("up", data, "--only", "kafka", *ALONE)
        assert part(second, "kafka")["port"] != part(first, "kafka")["port"]
        assert second["topics"][CASH] == 1


def test_two_stacks_started_at_once_get_a_broker_each(data: Path, tmp_path: Path) -> None:
    """One waits for the other's start, so that neither takes a port which the other has chosen."""
    other = tmp_path / "other"
    both = [
        subprocess.Popen([PROGRAM, "up", "--data", str(folder), "--json", *BROKER], stdout=subprocess.PIPE)
        for folder in (data, other)
    ]
    try:
        figures = [orjson.loads(process.communicate(timeout=120)[0]) for process in both]
        assert [process.returncode for process in both] == [0, 0]
        addresses = [row["port"] for one in figures for row in one["components"]]
        assert len(set(addresses)) == len(addresses) == 2
        with Bus(part(figures[0], "kafka")["url"]) as bus:
            bus.produce(CASH, TRANSFER)
        assert [margin("status", folder)["topics"][CASH] for folder in (data, other)] == [1, 0]
    finally:
        margin("down", other)


def test_a_start_killed_at_any_step_is_completed_by_the_next(data: Path) -> None:
    """Among the steps: the broker serves, and its topics are not yet created."""

    def broker_is_known() -> bool:
        return "kafka" in state.load(data).living()

    def broker_serves() -> bool:
        return broker_is_known() and ports.accepts(state.load(data).components["kafka"].port or 0)

    def another_is_known() -> bool:
        return "aws" in state.load(data).living()

    # each start goes on from the one killed before it
    for reached in (data.exists, broker_is_known, broker_serves, another_is_known):
        process = subprocess.Popen([PROGRAM, "up", "--data", str(data), *PARTS], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not reached() and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        process.kill()
        process.wait()
    figures = margin("up", data, *PARTS)
    assert {row["name"]: row["ready"] for row in figures["components"]} == {"kafka": True, "aws": True}
    assert len(figures["topics"]) == len(TOPICS)


def test_a_killed_broker_is_replaced_without_loss_and_the_rest_stays(data: Path) -> None:
    first = margin("up", data, *PARTS)
    with Bus(part(first, "kafka")["url"]) as bus:
        bus.produce(CASH, TRANSFER)
    psutil.Process(part(first, "kafka")["pid"]).kill()
    assert margin("status", data, code=1)["topics"] is None
    second = margin("up", data, *PARTS)
    assert second["topics"][CASH] == 1
    assert part(second, "kafka")["pid"] != part(first, "kafka")["pid"]
    assert part(second, "aws")["pid"] == part(first, "aws")["pid"]


def test_a_part_that_comes_back_elsewhere_restarts_the_others(data: Path) -> None:
    """They carry its old address in their environment."""
    first = margin("up", data, *PARTS)
    endpoint = psutil.Process(part(first, "aws")["pid"])
    endpoint.kill()
    psutil.wait_procs([endpoint])
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", part(first, "aws")["port"]))
        squatter.listen()
        second = margin("up", data, *PARTS)
    assert part(second, "aws")["port"] != part(first, "aws")["port"]
    assert part(second, "kafka")["pid"] != part(first, "kafka")["pid"]
    assert second["up"]


def test_a_state_file_from_before_a_reboot_ends_no_stranger(data: Path) -> None:
    """After a reboot the remembered pids belong to others: pid and start time must both fit."""
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        data.mkdir()
        old = state.Running(
            "kafka",
            stranger.pid,
            psutil.Process(stranger.pid).create_time() - 3600,
            9092,
            "127.0.0.1:9092",
            "kafka.log",
        )
        state.StackState(str(data), {}, {"kafka": old}).save()
        assert margin("down", data)["stopped"] == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


class Stream:
    """A stream as its driver sees it after one micro-batch that refused two of its 480 messages;
    no state is saved yet.
    """

    name = "margin_snapshots"
    event_time = 1_582_295_400_000
    lag, dead_letters = 12_345, 2

    def __init__(self) -> None:
        self.listeners: list[Callable[[progress.Figures], None]] = []

    def saved(self) -> None:
        return None

    def oldest_input_seconds(self) -> float:
        return 3725.0


@pytest.fixture
def running_stack(data: Path) -> Iterator[Callable[[int], None]]:
    """A stack that remembers its Dagster as running and its streams' port; the process only waits."""
    data.mkdir()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = processes.identity(process.pid).started

    def remember(metrics_port: int) -> None:
        daemon = state.Running("dagster-daemon", process.pid, started, None, None, "dagster-daemon.log")
        state.StackState(str(data), {"MARGIN_METRICS_PORT": str(metrics_port)}, {daemon.name: daemon}).save()

    yield remember
    process.kill()
    process.wait()


def test_status_shows_how_far_each_stream_is(data: Path, running_stack: Callable[[int], None]) -> None:
    """What is not known is null, never 0; the text shows the same figures."""
    stream = Stream()
    with contextlib.closing(Endpoint("127.0.0.1", 0)) as endpoint:
        endpoint.watch(stream)
        running_stack(int(endpoint.url.split(":")[2].split("/")[0]))
        before = margin("status", data)["streams"]["streams"]
        assert [
            (row["stream"], row["lag"], row["last_batch_at"], row["oldest_input_seconds"]) for row in before
        ] == [("margin_snapshots", 12_345, None, None)]
        batch = progress.Batch(7, 480, 0.25, ended=round(time.time() * 1000))
        for listener in stream.listeners:
            listener(progress.figures(stream, batch, {}, 0, {"margin_snapshots": 480}))
        streams = margin("status", data)["streams"]
        shown = subprocess.run(
            [PROGRAM, "status", "--data", str(data)], capture_output=True, text=True, timeout=180
        )
    assert (streams["expected"], streams["answers"], streams["url"]) == (True, True, endpoint.url)
    (row,) = streams["streams"]
    assert (row["lag"], row["dead_letters"], row["rows"], row["oldest_input_seconds"]) == (
        12_345,
        2,
        480,
        3725.0,
    )
    assert row["batch_seconds"] == 0.25
    assert abs(row["last_batch_at"] / 1000 - time.time()) < 120
    assert (row["state_bytes"], row["state_age_seconds"]) == (None, None)
    assert shown.returncode == 0
    assert re.search(
        r"margin_snapshots +12,345 +\d\d-\d\d \d\d:\d\d:\d\d .* 3,725\.0 s +2\n", shown.stdout
    ), shown.stdout


def test_status_says_plainly_that_the_streams_do_not_answer(
    data: Path, running_stack: Callable[[int], None]
) -> None:
    port = ports.any_free()
    running_stack(port)
    figures = margin("status", data, code=1)
    assert figures["up"]
    assert figures["streams"]["answers"] is False
    assert "refused" in figures["streams"]["reason"]
    shown = subprocess.run(
        [PROGRAM, "status", "--data", str(data)], capture_output=True, text=True, timeout=180
    )
    assert shown.returncode == 1
    assert f"the streams do not answer at http://127.0.0.1:{port}/metrics" in shown.stdout


def test_down_ends_what_a_dead_component_left_behind(data: Path) -> None:
    """A stream's JVM whose Dagster was killed has no parent any more;
    its environment still says whose it is.
    """
    data.mkdir()
    code = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], "
        "start_new_session=True)"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, processes.STACK: str(data)}, check=True)
    (orphan,) = processes.owned_by(data)
    assert margin("status", data, code=1)["strays"] == [orphan.pid]
    margin("down", data)
    assert processes.owned_by(data) == []


def test_a_component_that_cannot_start_is_named_and_takes_the_rest_down(data: Path) -> None:
    kafka = data / "kafka"
    kafka.mkdir(parents=True)
    (kafka / "log").write_text("a file where the broker wants its folder", encoding="utf-8")
    message = margin("up", data, *PARTS, code=1)
    assert "kafka" in message
    assert "Traceback" not in message
    assert processes.owned_by(data) == []


def test_a_start_that_fails_ends_what_it_started_and_nothing_that_ran_before(data: Path) -> None:
    before = margin("up", data, "--only", "aws", *ALONE)
    (data / "logs" / "venue.log").mkdir()  # the venue starts after the broker, and cannot have its log
    assert "venue.log" in margin("up", data, "--only", "aws,kafka,venue", *ALONE, code=1)
    (survivor,) = processes.owned_by(data)
    assert survivor.pid == part(before, "aws")["pid"]
    after = margin("status", data)
    assert ([row["name"] for row in after["components"]], after["up"], after["strays"]) == (["aws"], True, [])


def test_an_unknown_component_is_bad_input(data: Path) -> None:
    assert "value 'zookeeper'" in margin("up", data, "--only", "zookeeper", code=2)


def test_ctrl_c_in_the_foreground_stops_the_stack(data: Path) -> None:
    program = subprocess.Popen(
        [PROGRAM, "up", "--data", str(data), "--only", "aws", "--foreground"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    # it has printed the table: everything is up
    assert any("memory of all" in line for line in program.stdout)
    program.send_signal(signal.SIGINT)
    assert program.wait(timeout=60) == 0
    assert processes.owned_by(data) == []


def test_a_terminated_start_stops_what_it_had_started(data: Path) -> None:
    program = subprocess.Popen(
        [PROGRAM, "up", "--data", str(data), *PARTS], stderr=subprocess.PIPE, text=True
    )
    assert program.stderr is not None
    assert program.stderr.readline() == "starting kafka, aws\n"
    deadline = time.monotonic() + 60
    while not any("kafka.Kafka" in process.cmdline() for process in processes.owned_by(data)):
        assert time.monotonic() < deadline, "the broker was never started"
        threading.Event().wait(0.02)
    for _ in range(2):  # stopped twice, it does not leave half way
        program.terminate()
    assert program.wait(timeout=60) == 128 + signal.SIGTERM
    assert processes.owned_by(data) == []


def test_observe_prints_events_as_they_arrive_bad_ones_too(bus: Bus) -> None:
    """It ends by itself after --max; a message that is no JSON is shown as text."""
    watching = subprocess.Popen(
        [PROGRAM, "observe", PRICES, "--max", "2", "--bootstrap", bus.bootstrap],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    guard = threading.Timer(60, watching.kill)
    guard.start()
    assert watching.stderr is not None
    assert "following prices.v1" in watching.stderr.readline()
    bus.produce(PRICES, {"symbol": "AAPL", "price": 80.5, "timestamp": 1_582_205_400_000})
    bus.produce_raw(PRICES, b"{no json", "X")
    bus.flush()
    printed, _ = watching.communicate()
    guard.cancel()
    assert watching.returncode == 0
    assert "2020-02-20 13:30:00 prices.v1 AAPL: price=80.5" in printed
    assert "{no json" in printed


def test_observe_names_the_address_where_no_broker_answers() -> None:
    done = subprocess.run(
        [PROGRAM, "observe", "--bootstrap", "127.0.0.1:9", PRICES], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "margin: no Kafka broker answers at 127.0.0.1:9\n")
