"""A stream's own state on disk: whole, versioned, written to a temporary file and renamed, so that kill -9 leaves the last one."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_KEEP = 2


@dataclass(frozen=True)
class Saved:
    """The newest whole state: its size in bytes, and how long ago it was written."""

    size: int
    age_seconds: float


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


def newest(folder: Path) -> Saved | None:
    """What is known of the newest state without reading it, or None on a first start."""
    try:
        found = max(folder.glob("state-*.json")).stat()
    except (ValueError, FileNotFoundError):   # none yet, or two newer ones came while we looked
        return None
    return Saved(found.st_size, max(0.0, time.time() - found.st_mtime))
