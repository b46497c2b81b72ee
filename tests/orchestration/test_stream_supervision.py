"""The supervisor of the streams against a real child process that speaks the driver's protocol,
killed in every way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from assets.streams import RESTARTS, Reporter, RestartBudget, StreamsConfig, streams, supervised
from margin_platform.orchestration import checkpoint_lock
from margin_platform.orchestration.worker_identity import this_worker
from resources.stream_driver import DriverEnded, StreamDriver
from spark.driver_arguments import arguments
from spark.tables.schemas import TABLES
from tests.support.running import TOPICS
from tests.support.waiting import wait_for

DRIVER = """
import json, os, signal, sys, threading, time
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
threading.Thread(target=lambda: (os.read(0, 1), stop.set()), daemon=True).start()
pause = float(sys.argv[1])
n = 0
while not stop.wait(pause):
    n += 1
    row = {"batch_id": n, "rows": 3, "lag": 0, "event_time": 1582295400000, "freshness_seconds": 0.1}
    row |= {"offsets": "prices.v1[0]@%d" % n, "oldest_input_seconds": None}
    row |= {"batch_seconds": 0.25, "dead_letters": n, "state_bytes": 4096, "state_age_seconds": 1.5}
    row["pid"] = os.getpid()
    assets = {name: row for name in ("volatility", "margin_snapshots")}
    print(json.dumps({"stream": "x", "batch_id": n, "assets": assets}), flush=True)
    if len(sys.argv) > 2 and n == int(sys.argv[2]):
        sys.stderr.write("out of luck\\n"); sys.stderr.flush(); os._exit(3)
"""


@pytest.fixture
def driver(tmp_path: Path) -> Callable[..., StreamDriver]:
    path = tmp_path / "driver.py"
    path.write_text(DRIVER, encoding="utf-8")
    return lambda *arguments: StreamDriver(
        command=[sys.executable, str(path), *map(str, arguments)], stop_seconds=10
    )


def pids(batches: Iterator[dict], count: int) -> list[int]:
    return [next(batches)["assets"]["volatility"]["pid"] for _ in range(count)]


def test_a_killed_driver_is_started_again_in_the_same_run(driver: Callable[..., StreamDriver]) -> None:
    said: list[str] = []
    batches = supervised(lambda: driver(0.01).batches([]), time.monotonic, said.append, lambda _: None)
    first = pids(batches, 1)[0]
    os.kill(first, signal.SIGKILL)
    seen = next(
        b["assets"]["volatility"]["pid"] for b in batches if b["assets"]["volatility"]["pid"] != first
    )
    batches.close()
    assert seen != first
    assert "restart 1 of 5" in said[0]
    assert "code -9" in said[0]
    wait_for(lambda: not psutil.pid_exists(seen), "the driver to end")


def test_the_driver_is_not_restarted_for_ever_and_its_last_words_are_in_the_failure(
    driver: Callable[..., StreamDriver],
) -> None:
    said: list[str] = []
    batches = supervised(lambda: driver(0.001, 1).batches([]), time.monotonic, said.append, lambda _: None)
    with pytest.raises(DriverEnded, match="code 3") as failure:
        list(batches)
    assert len(said) == RESTARTS
    assert "out of luck" in str(failure.value)


def test_restarts_long_ago_do_not_count() -> None:
    now = [0.0]
    budget = RestartBudget(lambda: now[0])
    assert [budget.spend() for _ in range(RESTARTS + 1)] == [1, 2, 3, 4, 5, None]
    now[0] = 601.0
    assert budget.spend() == 1


def test_closing_the_batches_stops_the_driver(driver: Callable[..., StreamDriver]) -> None:
    batches = driver(0.01).batches([])
    child = pids(batches, 1)[0]
    batches.close()
    assert not psutil.pid_exists(child)


def test_a_driver_whose_parent_is_killed_stops_by_itself(
    tmp_path: Path, driver: Callable[..., StreamDriver]
) -> None:
    """kill -9 of the run worker closes the driver's standard input: no orphan JVM is left."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
            from resources.stream_driver import StreamDriver
            for batch in StreamDriver(command={driver(0.01).command!r}).batches([]):
                print(batch["assets"]["volatility"]["pid"], flush=True)
        """),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not psutil.pid_exists(child), "the driver's child to end")


def test_a_table_is_reported_once_per_interval_with_totals_since_its_last_report() -> None:
    now = [0.0]
    reporter = Reporter(60.0, lambda: now[0])
    assert reporter.report("t", {"batch_id": 1, "rows": 10})["rows_since_last_report"] == 10
    for at, batch in ((1, 2), (59, 3)):
        now[0] = at
        assert reporter.report("t", {"batch_id": batch, "rows": 10}) is None
    now[0] = 60
    # batches 2, 3 and 4 of 10 rows each since the report of batch 1
    assert reporter.report("t", {"batch_id": 4, "rows": 10}) == {
        "batch_id": 4,
        "rows": 10,
        "batches_since_last_report": 3,
        "rows_since_last_report": 30,
    }


def test_the_streams_report_under_the_keys_of_their_tables() -> None:
    """A report under another name would be of no asset,
    and the table's freshness policy would never hear of it.
    """
    tables = {table.name for table in TABLES}
    assert tables == {key.to_user_string() for key in streams.keys}
    assert tables == set(TOPICS)  # what a line of the margin stream has, of one shard


def test_the_streams_materialize_their_tables_and_roll_over(driver: Callable[..., StreamDriver]) -> None:
    """One run reports the same table many times, with its batch, rows, offsets, lag and freshness."""
    config = dg.RunConfig(ops={"run_streams": StreamsConfig(report_seconds=0.001, roll_over_hours=3 / 3600)})
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [streams], run_config=config, resources={"stream_driver": driver(0.02)}, instance=instance
        )
        assert result.success
        events = instance.fetch_materializations(dg.AssetKey("volatility"), limit=1000).records
        assert len(events) > 1
        metadata = events[0].asset_materialization.metadata
        assert {
            "batch_id",
            "rows",
            "offsets",
            "lag",
            "freshness_seconds",
            "batches_since_last_report",
        } <= set(metadata)
        assert metadata["event_time"] == dg.TimestampMetadataValue(1_582_295_400.0)
        assert metadata["batch_seconds"] == dg.FloatMetadataValue(0.25)
        assert metadata["state_bytes"] == dg.IntMetadataValue(4096)
        assert metadata["dead_letters"].value == metadata["batch_id"].value
        assert metadata["oldest_input_seconds"] == dg.NullMetadataValue()  # no price in use: unknown, not 0
        assert events[0].run_id == result.run_id
        # it reported nothing: skipped
        assert instance.get_latest_materialization_event(dg.AssetKey("firm_exposure")) is None
        wait_for(lambda: not psutil.pid_exists(metadata["pid"].value), "the driver to end")


def test_materialize_on_a_table_whose_streams_run_is_refused_with_the_reason(tmp_path: Path) -> None:
    """The button of the UI starts a run of its own.

    It must not work on the checkpoint of the run that is there.
    """
    command = [
        sys.executable,
        "-m",
        "spark.driver",
        "--checkpoint",
        str(tmp_path),
        "--bootstrap",
        "127.0.0.1:1",
    ]
    with checkpoint_lock.held(tmp_path, ["margin_snapshots"]), dg.DagsterInstance.ephemeral() as instance:
        before = (tmp_path / "margin_snapshots.holder").read_text(encoding="utf-8")
        result = dg.materialize(
            [streams],
            resources={"stream_driver": StreamDriver(command=command)},
            instance=instance,
            raise_on_error=False,
        )
        (failure,) = [e for e in result.all_events if e.is_step_failure]
        said = failure.step_failure_data.error.message  # type: ignore[union-attr]
        assert "nothing was started" in said
        assert f"margin_snapshots: its checkpoint is held by the driver {this_worker()}" in said
        assert (tmp_path / "margin_snapshots.holder").read_text(encoding="utf-8") == before
    with checkpoint_lock.held(tmp_path, ["margin_snapshots", "firm_exposure"]):
        pass  # free again


def test_a_checkpoint_is_free_when_its_driver_is_killed(tmp_path: Path) -> None:
    hold = "from margin_platform.orchestration.checkpoint_lock import held\n"
    hold += "from pathlib import Path; import sys, time\n"
    hold += "with held(Path(sys.argv[1]), ['x']): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(checkpoint_lock.CheckpointHeld, match=f":{holder.pid}:"),
            checkpoint_lock.held(tmp_path, ["x"]),
        ):
            pass
        holder.kill()
    with checkpoint_lock.held(tmp_path, ["x"]):
        pass


def test_the_settings_say_how_many_shards_there_are_and_where_they_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert StreamDriver().command[1:] == ["-m", "spark.driver"]
    assert arguments([], None).shards == 1
    monkeypatch.setenv("MARGIN_SPARK_SHARDS", "2")
    monkeypatch.setenv("MARGIN_SPARK_CHECKPOINTS", "s3a://margin/checkpoints")
    given = arguments([], None)
    assert (given.shards, given.checkpoint) == (2, "s3a://margin/checkpoints")
    assert arguments(["--shards", "3"], None).shards == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--only", "volatility_tables"], "--only: not one of margin_snapshots, firm_exposure, tables"),
        (["--shards", "0"], "--shards: not above zero, value 0"),
        (
            ["--only", "firm_exposure"],
            "--only: one shard publishes the firm's rows itself, in margin_snapshots",
        ),
    ],
)
def test_what_cannot_be_started_is_named(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments(given, None)
    assert said in capsys.readouterr().err
