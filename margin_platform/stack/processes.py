"""Processes of the local stack: started in sessions of their own, known by pid and start time, ended as
whole trees.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

_STARTED_TOLERANCE_S = 1.0  # psutil derives the start time from the boot time, which the clock may nudge
_LOOK_S = 0.05
_KILLED_WITHIN_S = 5.0
STACK = "MARGIN_STACK"  # every process of a stack, and only those, carries its data folder in this variable


class StartFailed(RuntimeError):
    """A process ended or did not become ready in time; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid. started: epoch seconds."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """Return the process while it lives, else None (gone, a zombie, or another process that got the
        pid)."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _STARTED_TOLERANCE_S
            return process if same and _lives(process) else None
        except psutil.NoSuchProcess:
            return None


def identity(pid: int) -> Identity:
    """Return the identity of a living process."""
    return Identity(pid, psutil.Process(pid).create_time())


def identity_of_this() -> Identity:
    """Return the identity of this process."""
    return identity(os.getpid())


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own session, with `environment` over the inherited one, writing to `log`
    (appended).
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def private_files() -> Iterator[None]:
    """Let no other user read what is written in the block, or by a process that is started in it:
    customers, passwords.
    """
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def wait_until(
    ready: Callable[[], bool], ended: Callable[[], str | None], log: Path, what: str, timeout_s: float
) -> None:
    """Return when `ready()` holds.

    StartFailed when `ended()` reports how the process ended, or after the timeout.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if how := ended():
            raise StartFailed(f"{what} ended {how}: {tail(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"{what} was not ready within {timeout_s:g} s: {tail(log)}")
        time.sleep(_LOOK_S)


def end_of(process: subprocess.Popen[bytes]) -> Callable[[], str | None]:
    """Return a function that describes how a child ended, once it has."""
    return lambda: None if process.poll() is None else f"with exit code {process.returncode}"


def tail(log: Path, lines: int = 5) -> str:
    """Return the last lines of a log, on one line."""
    try:
        return (
            " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
            or "its log is empty"
        )
    except OSError:
        return f"no log at {log}"


def tree(roots: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the processes and everything they started, children's children included."""
    found: dict[int, psutil.Process] = {}
    for root in roots:
        try:
            for process in [root, *root.children(recursive=True)]:
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return list(found.values())


def owned_by(data: Path) -> list[psutil.Process]:
    """Return every process whose environment shows that it was started by the stack of this data folder,
    orphans included.

    Never this process nor its parents, so that a stack may be stopped from inside.
    """
    me = psutil.Process()
    spared = {me.pid, *(parent.pid for parent in me.parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in spared and process.environ().get(STACK) == str(data):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def end(processes: Iterable[psutil.Process], grace_s: float = 15.0) -> list[int]:
    """End processes: TERM, then KILL for what is left after the grace.

    Return the pids that had to be killed.
    """
    listed = list(processes)
    for process in listed:
        _signal(process.terminate)
    left = _left_after(grace_s, listed)
    for process in left:
        _signal(process.kill)
    _left_after(_KILLED_WITHIN_S, left)
    return [process.pid for process in left]


def _left_after(seconds: float, listed: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Wait until none lives; return those that do after `seconds`.

    A zombie counts as ended: PID 1 of a container may reap it late, or not at all.
    """
    deadline = time.monotonic() + seconds
    while (living := [p for p in listed if _lives(p)]) and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return living


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C, TERM and a closed terminal until the block is done: half a stop would leave processes
    behind.
    """
    # Python hears signals in the main thread only
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return
