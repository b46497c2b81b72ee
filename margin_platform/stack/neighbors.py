"""The other stacks of this user on this machine:
they start one at a time, and keep off each other's ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from filelock import FileLock, Timeout

from margin_platform.jars.resolve import Progress
from margin_platform.settings import settings
from margin_platform.stack import state

_LIST = "stacks.json"


@contextmanager
def turn(cache: Path, data: Path, progress: Progress) -> Iterator[set[int]]:
    """Yield the ports of the user's other living stacks;
    no other stack chooses ports until the block is done.

    cache: a folder of the user that all stacks share. A port is thereby kept from its choice until its server
    has it.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(cache / "starting.lock")
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        progress("another stack is being started on this machine; waiting for it")
        lock.acquire()
    try:
        others = [folder for folder in _known(cache) if folder != data and state.load(folder).living()]
        _remember(cache, [*others, data])
        yield {port for folder in others for port in _ports(folder)}
    finally:
        lock.release()


def _known(cache: Path) -> list[Path]:
    try:
        return [Path(folder) for folder in orjson.loads((cache / _LIST).read_bytes())]
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return []


def _remember(cache: Path, folders: list[Path]) -> None:
    fresh = cache / f"{_LIST}.new"
    fresh.write_bytes(orjson.dumps([str(folder) for folder in folders]))
    fresh.replace(cache / _LIST)


def _ports(folder: Path) -> set[int]:
    """Return the ports a stack was given, that of its streams' figures included: they may be about to
    serve."""
    known = state.load(folder)
    return {r.port for r in known.components.values() if r.port is not None} | {
        settings(known.environment).metrics.port
    }
