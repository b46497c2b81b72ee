"""A stream's own state on disk: whole, versioned, written to a temporary file and renamed, so that kill -9 leaves the last one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

_KEEP = 2


def dump(state: dict[str, Any]) -> bytes:
    """The state as it goes on disk: taken at one moment, written whenever."""
    return orjson.dumps(state)


def save(folder: Path, version: int, state: bytes) -> None:
    """Writes the state of a batch and forgets all but the newest two. Versions only grow."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{version:012d}.json"
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        file.write(state)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    for old in sorted(folder.glob("state-*.json"))[:-_KEEP]:
        old.unlink(missing_ok=True)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest whole state, or None on a first start."""
    newest = sorted(folder.glob("state-*.json"))
    return None if not newest else orjson.loads(newest[-1].read_bytes())
