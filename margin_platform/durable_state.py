"""A stream's own state on disk: whole, versioned, written to a temporary file and renamed, so that kill -9
leaves the last one.

A file is one line, FORMAT; one line of JSON; and the bytes of the state's columns one after another. In the
JSON a column is {"$column": [type, first byte, entries]}: a million accounts are written as fast as the disk
takes them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

FORMAT = b"margin-platform state 2"  # 1 was JSON alone
_COLUMN = "$column"
_KEEP = 2


class StateRefused(ValueError):
    """A state that this version cannot continue from; the message names the file and what to do."""


@dataclass(frozen=True)
class Saved:
    """The newest whole state: its size in bytes, and how long ago it was written."""

    size: int
    age_seconds: float


def dump(state: dict[str, object]) -> list[bytes | memoryview]:
    """Return the state in its form on disk, in pieces: taken at one moment, written whenever.

    Its columns must not change any more.
    """
    columns: list[memoryview] = []
    head = orjson.dumps(_without_columns(state, columns))
    return [FORMAT + b"\n" + head + b"\n", *columns]


def in_chunks(state: dict[str, object], size: int) -> list[list[bytes | memoryview]]:
    """Return the state in its form on disk, in chunks of so many bytes; each is in pieces, none is copied."""
    chunks: list[list[bytes | memoryview]] = []
    room = 0
    for piece in dump(state):
        start = 0
        while start < len(piece):
            if not room:
                chunks.append([])
                room = size
            part = memoryview(piece)[start : start + room]
            chunks[-1].append(part)
            room, start = room - len(part), start + len(part)
    return chunks


def _without_columns(part: object, columns: list[memoryview]) -> object:
    if isinstance(part, np.ndarray):
        start = sum(column.nbytes for column in columns)
        columns.append(
            memoryview(np.ascontiguousarray(part).view(np.uint8).data) if part.size else memoryview(b"")
        )
        return {_COLUMN: [part.dtype.str, start, part.size]}
    if isinstance(part, dict):
        return {key: _without_columns(value, columns) for key, value in part.items()}
    return part


def parse(raw: bytes, name: str = "state") -> dict[str, Any]:
    """Return what `dump` was given, its columns read-only. StateRefused where it is of another format."""
    end_of_form = raw.find(b"\n")  # what follows is half a gigabyte: it is not copied
    form = raw if end_of_form < 0 else raw[:end_of_form]
    if form != FORMAT:
        found = form[:40].decode(errors="replace")
        raise StateRefused(
            f"{name}: not {FORMAT.decode()!r} but {found!r}; --rebuild reads the topics from their "
            "beginning instead"
        )
    end_of_head = raw.index(b"\n", end_of_form + 1) + 1
    head = orjson.loads(raw[end_of_form + 1 : end_of_head])
    return {key: _with_columns(value, raw, end_of_head) for key, value in head.items()}


def _with_columns(part: object, raw: bytes, body: int) -> Any:
    if not isinstance(part, dict):
        return part
    if _COLUMN in part:
        kind, start, size = part[_COLUMN]
        return (
            np.frombuffer(raw, dtype=kind, count=size, offset=body + start)
            if size
            else np.zeros(0, dtype=kind)
        )
    return {key: _with_columns(value, raw, body) for key, value in part.items()}


def save(folder: Path, version: int, state: Iterable[bytes | memoryview]) -> None:
    """Write the state of a batch and delete all but the newest two. Versions only grow."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"state-{version:012d}"
    unfinished = path.with_suffix(".partial")
    with unfinished.open("wb") as file:
        for piece in state:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    for old in _whole(folder)[:-_KEEP]:
        old.unlink(missing_ok=True)


def _whole(folder: Path) -> list[Path]:
    """List complete states, oldest first. A state of format 1 carried a suffix: it is found too, and
    refused."""
    return sorted((p for p in folder.glob("state-*") if p.suffix != ".partial"), key=lambda p: p.stem)


def load(folder: Path) -> dict[str, Any] | None:
    """Load the newest whole state, or return None on a first start. StateRefused where it is of another
    format."""
    found = _whole(folder)
    return None if not found else parse(found[-1].read_bytes(), str(found[-1]))


def newest(folder: Path) -> Saved | None:
    """Return what is known of the newest state without reading it, or None on a first start."""
    try:
        found = _whole(folder)[-1].stat()
    except (IndexError, FileNotFoundError):  # none yet, or two newer ones came while we looked
        return None
    return Saved(found.st_size, max(0.0, time.time() - found.st_mtime))
