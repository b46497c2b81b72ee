"""Which process works for a run: host, process id, and when it started, so that a reused id is never mistaken
for it.

The start is counted in clock ticks since the boot, and carries that boot and the process namespace: unlike a
time of day it is the same before and after the clock is set. It also shows whether this process could see the
worker at all.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

_PROC = Path("/proc")


def worker_of(pid: int) -> str:
    """Return host:pid:start of a living process of this machine. ProcessLookupError where there is none."""
    return f"{socket.gethostname()}:{pid}:{_ticks(pid)}@{_here()}"


def this_worker() -> str:
    return worker_of(os.getpid())


def is_ours(worker: str) -> bool:
    """Report whether the worker belongs to this host, in this boot or an earlier one."""
    host, _, start = worker.rsplit(":", 2)
    # a machine may be given another name while it runs
    return host == socket.gethostname() or start.endswith(f"@{_here()}")


def is_alive(worker: str) -> bool:
    """Report whether that very process still runs here.

    A worker of another host cannot be seen and counts as alive.
    """
    if not is_ours(worker):
        return True
    _, pid, start = worker.rsplit(":", 2)
    try:
        return f"{_ticks(int(pid))}@{_here()}" == start
    except ProcessLookupError:
        return False


def pid_of(worker: str) -> int:
    return int(worker.rsplit(":", 2)[1])


def _ticks(pid: int) -> int:
    """Return the clock ticks from the boot to the start of a process.

    ProcessLookupError where there is none, or only its remains.
    """
    try:
        state, *fields = (
            (_PROC / str(pid) / "stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()
        )
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process {pid}") from error
    if state in "ZX":  # it has ended, and its parent has not noticed yet
        raise ProcessLookupError(f"process {pid} has ended")
    return int(fields[18])  # the 22nd of all fields, see proc(5)


def _here() -> str:
    """Return this boot of the kernel and this namespace of process ids: a container has one of its own."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{boot}.{(_PROC / 'self/ns/pid').stat().st_ino}"
