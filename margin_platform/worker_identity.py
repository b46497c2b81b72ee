"""Which process works for a run: host, process id and the process's start time, so that a reused id is never mistaken for it."""

from __future__ import annotations

import os
import socket

import psutil

WORKER_TAG = "margin/worker"


def worker_of(pid: int) -> str:
    """host:pid:start of a living process of this machine. ProcessLookupError where there is none."""
    try:
        return f"{socket.gethostname()}:{pid}:{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(f"no process {pid}") from error


def this_worker() -> str:
    return worker_of(os.getpid())


def is_alive(worker: str) -> bool:
    """Whether that very process still runs here. A worker of another host cannot be seen and counts as alive."""
    host, pid, _ = worker.rsplit(":", 2)
    if host != socket.gethostname():
        return True
    try:
        return worker_of(int(pid)) == worker and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


def pid_of(worker: str) -> int:
    return int(worker.rsplit(":", 2)[1])
