"""A Dagster run launcher that forks each run's worker from a process that has imported everything:
0.5 s instead of 5 s.

Chosen in dagster.yaml (`dagster_home.prepare(launcher="fork")`); the stock launcher works too. The fork
server belongs to the process that launches (the daemon, the webserver) and is started with its first run, and
again when the code on disk changed. A worker is known by host, process id and start time (`worker_identity`),
kept in a run tag: any process of the host can interrupt it or see that it is gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import DagsterRun, serialize_value

from margin_platform.orchestration.dagster_internals import (
    CheckRunHealthResult,
    ConfigurableClass,
    ConfigurableClassData,
    ExecuteRunArgs,
    LaunchRunContext,
    RunLauncher,
    WorkerStatus,
)
from margin_platform.orchestration.run_tags import BATCH_LANE, ENDS_WITH_LAUNCHER_TAG, LANE_TAG, WORKER_TAG
from margin_platform.orchestration.worker_identity import is_alive, is_ours, pid_of, worker_of

# import and prepare everything that a run needs
_WARMED = ("margin_platform.definitions", "jobs.span_runs.worker_start")
# where processors are short, a worker with it gets a third of what one without gets
_NICENESS = 5
_ROOT = Path(__file__).parents[2]
_PACKAGES = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")


def code_stamp() -> tuple[int, int]:
    """Return the number of the project's source files and the newest change among them (ns): differs when the
    code was edited.
    """
    changed = [path.stat().st_mtime_ns for package in _PACKAGES for path in (_ROOT / package).rglob("*.py")]
    return len(changed), max(changed)


class ForkServer:
    """The warm process, seen from the launching side."""

    def __init__(self) -> None:
        self.stamp = code_stamp()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "margin_platform.orchestration.fork_server", *_WARMED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            cwd=_ROOT,
        )

    @property
    def usable(self) -> bool:
        return self.process.poll() is None and self.stamp == code_stamp()

    def fork(self, request: Mapping[str, object]) -> int:
        """Fork a worker; return its id. ConnectionError where the server died."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write((json.dumps(request) + "\n").encode())
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise ConnectionError(f"the fork server ended with code {self.process.wait(10)}")
        return int(json.loads(answer)["pid"])

    def close(self) -> None:
        """End of input: the server lets its workers finish and exits by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()


class ForkServerRunLauncher(RunLauncher, ConfigurableClass):
    """See the module.

    `preload: true` starts the fork server with the instance instead of with the first run. `giving_way` names
    jobs whose workers leave the processors to decisions and streams (`nice`); batch runs always do.
    """

    def __init__(
        self,
        preload: bool = False,
        giving_way: Sequence[str] = (),
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        self._inst_data = inst_data
        self._giving_way = frozenset(giving_way)
        self._server: ForkServer | None = None
        self._retired: list[ForkServer] = []
        self._lock = threading.Lock()
        super().__init__()
        if preload:
            self._server = ForkServer()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> Any:
        from dagster import Field

        return {
            "preload": Field(bool, is_required=False, default_value=False),
            "giving_way": Field([str], is_required=False, default_value=[]),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> ForkServerRunLauncher:
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        origin = context.job_code_origin
        assert origin is not None, f"run {run.run_id} has no code origin"
        arguments = ExecuteRunArgs(origin, run.run_id, self._instance.get_ref())
        request = {
            "run_id": run.run_id,
            "args": serialize_value(arguments),
            "ends_with_server": run.tags.get(ENDS_WITH_LAUNCHER_TAG) == "true",
            "niceness": _NICENESS if self._gives_way(run) else 0,
        }
        pid = self._fork(request)
        try:
            self._instance.add_run_tags(run.run_id, {WORKER_TAG: worker_of(pid)})
        except ProcessLookupError:  # it is already done, or was killed: then nothing would ever report it
            left = self._instance.get_run_by_id(run.run_id)
            if left is not None and not left.is_finished:
                self._instance.report_run_failed(
                    left, message=f"The worker of this run, process {pid}, ended before it began."
                )

    def _gives_way(self, run: DagsterRun) -> bool:
        return run.job_name in self._giving_way or run.tags.get(LANE_TAG) == BATCH_LANE

    def _fork(self, request: Mapping[str, object]) -> int:
        with self._lock:
            if self._server is not None and not self._server.usable:
                self._server.close()
                self._retired.append(self._server)
                self._server = None
            self._retired = [old for old in self._retired if old.process.poll() is None]
            if self._server is None:
                self._server = ForkServer()
            return self._server.fork(request)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run's worker; the run is CANCELED when its ops have cleaned up.

        Return False where no worker has it. A worker of another host cannot be reached: its run is
        CANCELED immediately, because the requester states that it is gone.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = run.tags.get(WORKER_TAG)
        if worker is None or not is_alive(worker):
            self._instance.report_run_canceled(run, message="No worker was left to interrupt.")
            return True
        if not is_ours(worker):  # its process id belongs to another process here
            self._instance.report_run_canceled(
                run, message=f"Worker {worker} is of another host and was left alone: see that it is gone."
            )
            return True
        os.kill(pid_of(worker), signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        worker = run.tags.get(WORKER_TAG)
        if worker is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "not ours, or its tag is not written yet")
        if is_alive(worker):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"worker {worker} is gone", run_worker_id=worker)

    def dispose(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.close()
                self._server = None
