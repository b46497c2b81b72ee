"""The decision store of a simulation: the product's own, on SQLite, where a process may die at each commit.

It lies in memory where the machine has a folder there. Its schema is made once a process and copied.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from margin_platform.simulator.world.processes import Processes
from margin_platform.store.store import Store

_IN_MEMORY = Path("/dev/shm")


class DiskFull(OperationalError):
    """The store's disk has no room."""

    def __init__(self) -> None:
        super().__init__("COMMIT", None, RuntimeError("database or disk is full"))


def new_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for one store, in memory where possible, deleted with the object."""
    where = _IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
    return tempfile.TemporaryDirectory(prefix="margin-simulator-", dir=where)


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "empty.db"
        with Store(f"sqlite:///{file}"):
            pass
        return file.read_bytes()


class SimulatedStore(Store):
    """A store among simulated processes.

    committed: called within each write transaction before it is committed. has_room: whether a transaction
    can be committed now.
    """

    def __init__(
        self,
        folder: str,
        processes: Processes,
        committed: Callable[[Connection], None],
        has_room: Callable[[], bool],
    ) -> None:
        """Open an empty store in a folder."""
        file = Path(folder) / "store.db"
        file.write_bytes(_empty())
        super().__init__(f"sqlite:///{file}", migrate=False)
        self._processes, self._committed, self._has_room = processes, committed, has_room

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
        self._processes.reach("after it committed")

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
