"""The decision store of a simulation: the product's own, on SQLite, where a process may die at each commit.

It lies in memory where the machine has a folder there. A process makes it once: each story begins with its
empty contents, and with the statements that earlier stories compiled.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from margin_platform.simulator.world.processes import Processes
from margin_platform.store.store import Store

_IN_MEMORY = Path("/dev/shm")
_PREFIX, _LOCK = "margin-simulator-", "lock"
_Answer = TypeVar("_Answer")


class DiskFull(OperationalError):
    """The store's disk has no room."""

    def __init__(self) -> None:
        super().__init__("COMMIT", None, RuntimeError("database or disk is full"))


class SimulatedStore(Store):
    """A store among the simulated processes of one story after another."""

    def __init__(self) -> None:
        """Make an empty store and keep it open."""
        self._folder, self._lock = _own_folder(_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None)
        self._empty, file = (Path(self._folder.name) / name for name in ("empty.db", "store.db"))
        with Store(f"sqlite:///{self._empty}"):
            pass
        file.write_bytes(self._empty.read_bytes())
        super().__init__(f"sqlite:///{file}", migrate=False)

    def begin(
        self, processes: Processes, committed: Callable[[Connection], None], has_room: Callable[[], bool]
    ) -> None:
        """Empty the store, for a story.

        committed: called within each write transaction before it is committed. has_room: whether a
        transaction can be committed now.
        """
        self._processes, self._committed, self._has_room = processes, committed, has_room
        self._answers: dict[Callable[[Store], object], object] = {}
        with closing(sqlite3.connect(self._empty)) as empty, closing(self.engine.raw_connection()) as own:
            assert own.driver_connection is not None
            empty.backup(own.driver_connection)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Open one transaction, as `Store.write` does."""
        self._processes.reach("before it writes")
        with super().write() as connection:
            yield connection
            if not self._has_room():
                raise DiskFull
            self._processes.reach("before it commits", may_stall=False)
            self._committed(connection)
        self._answers.clear()
        self._processes.reach("after it committed")

    def answer(self, question: Callable[[Store], _Answer]) -> _Answer:
        """Return what the product's function answers of the store; it is asked once between two commits."""
        if question not in self._answers:
            self._answers[question] = question(self)
        return self._answers[question]  # type: ignore[return-value]

    def publishing(self) -> AbstractContextManager[object]:
        """Take a turn as the only publisher among the simulated processes."""
        return self._publishing()

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        self._processes.take_publishing_turn()
        try:
            yield
        finally:
            self._processes.give_publishing_turn_back()


def _own_folder(where: Path | None) -> tuple[tempfile.TemporaryDirectory[str], IO[str]]:
    """Make a folder that is locked while its process lives; remove those of processes that were killed."""
    for lock in Path(where or tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), lock.open() as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    while True:
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where, ignore_cleanup_errors=True)
        with suppress(OSError):
            path = Path(folder.name) / _LOCK
            held = path.open("w", encoding="utf-8")
            fcntl.flock(held, fcntl.LOCK_SH)
            if path.exists():  # no other process has removed it before it was locked
                return folder, held


_free: list[SimulatedStore] = []


@contextmanager
def store_of_a_story() -> Iterator[SimulatedStore]:
    """Lend a store to one story: one that an earlier story is done with, where there is one."""
    store = _free.pop() if _free else SimulatedStore()
    try:
        yield store
    finally:
        _free.append(store)
