"""The fork-server launcher, for real: runs, interrupts, notices a killed worker, and leaves nothing
behind.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher.base import WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from margin_platform.orchestration import dagster_home, fork_server
from margin_platform.orchestration.run_coordinator import LaneRunCoordinator
from margin_platform.orchestration.run_launcher import ForkServerRunLauncher
from margin_platform.orchestration.run_tags import BATCH_TAGS, ENDS_WITH_LAUNCHER_TAG, WORKER_TAG
from margin_platform.orchestration.worker_identity import is_alive, pid_of, this_worker, worker_of
from tests.support.waiting import wait_for

JOB_FILE = str(Path(__file__).parent / "launched_job.py")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance as `dagster_home` makes it; one fork server for the module."""
    home = tmp_path_factory.mktemp("dagster")
    dagster_home.prepare(home)
    with dg.DagsterInstance.from_config(str(home)) as opened:
        yield opened


def launched(
    instance: dg.DagsterInstance, diary: Path, seconds: float, tags: dict[str, str] | None = None
) -> str:
    pointer = FileCodePointer(JOB_FILE, "staying", str(Path(JOB_FILE).parent))
    origin = JobPythonOrigin("staying", RepositoryPythonOrigin(sys.executable, pointer))
    job = pointer.load_target()
    run = instance.create_run_for_job(
        job_def=job,
        run_config={"ops": {"stay": {"config": {"diary": str(diary), "seconds": seconds}}}},
        tags=tags,
        job_code_origin=origin,
    )
    instance.launch_run(run.run_id, None)  # type: ignore[arg-type]
    wait_for(
        lambda: diary.exists() and f"started {run.run_id}" in diary.read_text(encoding="utf-8"),
        "the run's start",
    )
    return run.run_id


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def test_a_run_succeeds_in_a_forked_worker(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run_id = launched(instance, tmp_path / "diary", 0.0)
    wait_for(lambda: run_of(instance, run_id).is_success, "the run's success")
    diary = (tmp_path / "diary").read_text(encoding="utf-8")
    assert "with calendar and policies (1, 1)" in diary
    frozen = re.search(r"^(\d+) objects frozen, a collection each (\d+)$", diary, re.MULTILINE)
    assert frozen, diary
    assert int(frozen[1]) > 100_000, "what was imported before the fork is collected in each worker"
    assert int(frozen[2]) > gc.get_threshold()[0]
    assert pid_of(run_of(instance, run_id).tags[WORKER_TAG]) != os.getpid()


def test_a_worker_of_a_batch_run_leaves_the_processors_to_one_that_decides(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    for name, tags in (("decides", None), ("batch", BATCH_TAGS)):
        launched(instance, tmp_path / name, 0.0, tags)
    niceness = {name: (tmp_path / name).read_text(encoding="utf-8") for name in ("decides", "batch")}
    ours = os.nice(0)
    assert f"niceness {ours}, a session of its own" in niceness["decides"]
    assert f"niceness {min(ours + 5, 19)}, no session of its own" in niceness["batch"]


def test_terminate_interrupts_the_op_and_lets_it_clean_up(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run_id = launched(instance, tmp_path / "diary", 60.0)
    worker = run_of(instance, run_id).tags[WORKER_TAG]
    assert (
        instance.run_launcher.check_run_worker_health(run_of(instance, run_id)).status is WorkerStatus.RUNNING
    )
    assert instance.run_coordinator.cancel_run(run_id)
    wait_for(lambda: run_of(instance, run_id).status is dg.DagsterRunStatus.CANCELED, "the run's end")
    assert f"cleaned {run_id}" in (tmp_path / "diary").read_text(encoding="utf-8")
    wait_for(lambda: not is_alive(worker), "the worker to end")
    assert not instance.run_launcher.terminate(run_id)


def test_a_killed_worker_is_noticed_and_can_still_be_terminated(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """After a reboot, too, a run must not stay STARTED forever."""
    run_id = launched(instance, tmp_path / "diary", 60.0)
    os.kill(pid_of(run_of(instance, run_id).tags[WORKER_TAG]), signal.SIGKILL)
    health = instance.run_launcher.check_run_worker_health
    wait_for(
        lambda: health(run_of(instance, run_id)).status is WorkerStatus.FAILED,
        "the launcher to see the death",
    )
    assert instance.run_launcher.terminate(run_id)
    assert run_of(instance, run_id).status is dg.DagsterRunStatus.CANCELED


def test_a_stream_run_ends_when_its_launcher_goes(tmp_path: Path) -> None:
    """The daemon died: no process could restart or stop the run any more, so it stops itself."""
    dagster_home.prepare(tmp_path / "home")
    with dg.DagsterInstance.from_config(str(tmp_path / "home")) as instance:
        run_id = launched(instance, tmp_path / "diary", 60.0, {ENDS_WITH_LAUNCHER_TAG: "true"})
        launcher = instance.run_launcher
        assert isinstance(launcher, ForkServerRunLauncher)
        server = launcher._server
        assert server is not None
        launcher.dispose()
        assert server.process.wait(fork_server.GRACE_SECONDS) == 0
        assert f"cleaned {run_id}" in (tmp_path / "diary").read_text(encoding="utf-8")
        assert run_of(instance, run_id).is_finished


def test_a_reused_process_id_is_not_mistaken_for_the_worker() -> None:
    host, pid, start = this_worker().rsplit(":", 2)
    assert is_alive(f"{host}:{pid}:{start}")
    assert not is_alive(f"{host}:{pid}:1{start}")


def test_a_worker_is_known_again_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel then tells another time of its boot;
    a living driver taken for dead would get a second beside it.
    """
    worker = this_worker()
    booted = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + 3600)
    assert is_alive(worker)


def test_a_machine_may_be_given_another_name_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    lives = subprocess.Popen(["sleep", "60"])
    worker = worker_of(lives.pid)
    monkeypatch.setattr(socket, "gethostname", lambda: "renamed")
    assert is_alive(worker)
    lives.kill()
    lives.wait()
    assert not is_alive(worker)


def test_a_worker_of_another_host_is_never_signalled_and_its_run_can_be_ended(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """A new container on kept data has another name: its process ids mean others here."""
    run_id = launched(instance, tmp_path / "diary", 60.0)
    worker = run_of(instance, run_id).tags[WORKER_TAG]
    elsewhere = f"another-host:{pid_of(worker)}:1@another-boot.1"
    instance.add_run_tags(run_id, {WORKER_TAG: elsewhere})
    assert is_alive(elsewhere)
    assert instance.run_coordinator.cancel_run(run_id)
    assert run_of(instance, run_id).status is dg.DagsterRunStatus.CANCELED
    assert is_alive(worker)
    os.kill(pid_of(worker), signal.SIGKILL)
    wait_for(lambda: not is_alive(worker), "the worker to end")


def test_only_the_batch_lane_waits_in_the_queue(tmp_path: Path) -> None:
    """A backtest is queued under its limit; a margin call never is."""
    dagster_home.prepare(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        coordinator = instance.run_coordinator
        assert isinstance(coordinator, LaneRunCoordinator)
        limits = coordinator.get_run_queue_config()
        assert limits.max_concurrent_runs == -1
        (limit,) = limits.tag_concurrency_limits
        assert {limit["key"]: limit["value"]} == BATCH_TAGS
        assert limit["limit"] == dagster_home.BATCH_RUNS_AT_ONCE
