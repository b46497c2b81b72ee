"""A stream's own state on disk: whole, versioned, written to a temporary file and renamed, so that kill -9 leaves the last one.

The state names the offsets it has applied. After a restart the records between them and the end of the topics are read
again from Kafka before the stream goes on: nothing is lost, and what is read twice is skipped by its offset or its id.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

_KEEP = 2


def save(folder: Path, batch_id: int, state: dict[str, Any]) -> None:
    """Writes the state of a batch and forgets all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{batch_id:012d}.json"
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        file.write(orjson.dumps(state))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    for old in sorted(folder.glob("state-*.json"))[:-_KEEP]:
        old.unlink(missing_ok=True)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest whole state, or None on a first start."""
    newest = sorted(folder.glob("state-*.json"))
    return None if not newest else orjson.loads(newest[-1].read_bytes())
