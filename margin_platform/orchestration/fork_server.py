"""The fork server of the run launcher:
a process that has imported everything once and forks a worker per run.

Started by `run_launcher.ForkServerRunLauncher` as `python -m margin_platform.orchestration.fork_server
MODULE ...`, where the modules import and prepare everything a run needs. Each line of its standard input is a
request {"run_id", "args", "ends_with_server", "niceness"}; it answers {"run_id", "pid"} on standard output.
End of input means that the process that launched runs is gone: workers that never end by themselves are
interrupted, the others get `GRACE_SECONDS` to finish. No thread may run here before a fork.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from typing import Any

from margin_platform.orchestration import dagster_internals

GRACE_SECONDS = 20.0
_REAP_SECONDS = 0.5
# a run of thousands of events makes millions of objects and hardly a circle among them: Python's own
# thresholds took a sixth of its time
_COLLECTIONS = (1_000_000, 20, 50)


def warm(modules: Sequence[str]) -> None:
    """Import modules, let each prepare what every worker needs (its function `warm`, where it has one), and
    execute a job of one empty op: the first execution imports half of dagster.
    """
    import dagster as dg

    _ = dagster_internals.execute_run_command  # imported for the fork
    for module in modules:
        getattr(importlib.import_module(module), "warm", lambda: None)()

    @dg.op
    def nothing() -> None:
        return None

    @dg.job(executor_def=dg.in_process_executor)
    def warm_up() -> None:
        nothing()

    logging.disable()
    with dg.DagsterInstance.ephemeral() as instance:
        warm_up.execute_in_process(instance=instance)
    logging.disable(logging.NOTSET)
    # a worker's collections pass over what was imported, and its pages stay shared
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


def _work(arguments: str) -> int:
    """Run the worker's whole life: what `dagster api execute_run` does, in a process that already holds the
    imports.
    """
    try:
        dagster_internals.execute_run_command.callback(arguments, None)  # type: ignore[misc]
    except SystemExit as exit_:
        return int(exit_.code or 0)
    except BaseException:  # noqa: BLE001  (nothing above us would print it: the process leaves by os._exit)
        traceback.print_exc()
        return 1
    return 0


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    _stand_alone(int(request["niceness"]))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # standard output belongs to the server's answers
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _work(request["args"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return 0


def _stand_alone(niceness: int) -> None:
    """Let a signal to the worker's group reach only what the run started, and give way to other workers, or
    to none.

    A desktop's kernel (`sched_autogroup`) shares the processors among sessions first: one that gives way
    stays in the server's session, with the others that do.
    """
    if niceness:
        os.setpgid(0, 0)
        os.nice(niceness)
    else:
        os.setsid()


def _reap(workers: dict[int, bool]) -> None:
    while workers:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        workers.pop(pid, None)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _end(workers: dict[int, bool]) -> None:
    _signal([pid for pid, ends in workers.items() if ends], signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while workers and time.monotonic() < deadline:
        _reap(workers)
        time.sleep(0.05)
    _signal(list(workers), signal.SIGTERM)


def serve(modules: Sequence[str]) -> None:
    """Answer requests until the end of input, from a process that has imported the modules."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm(modules)
    workers: dict[int, bool] = {}  # pid -> whether it ends with the server
    pending = b""
    while True:
        _reap(workers)
        if not select.select([0], [], [], _REAP_SECONDS)[0]:
            continue
        chunk = os.read(0, 1 << 20)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = _fork(request)
            workers[pid] = bool(request["ends_with_server"])
            os.write(1, (json.dumps({"run_id": request["run_id"], "pid": pid}) + "\n").encode())
    _end(workers)


if __name__ == "__main__":
    serve(sys.argv[1:])
