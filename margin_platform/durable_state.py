"""The form in which an engine's state is stored.

A state is one line, FORMAT; one line of JSON; and the bytes of the state's columns one after another. In the
JSON a column is {"$column": [type, first byte, entries]}: a million accounts are written as fast as the disk
takes them. Each column begins at a multiple of ALIGNED bytes, so an engine can use it where it lies.
"""

from __future__ import annotations

from mmap import mmap
from typing import Any

import numpy as np
import orjson

FORMAT = "margin-platform state 2"  # 1 was JSON alone
ALIGNED = 16  # bytes: what any allocation of Python is aligned to
_COLUMN = "$column"


class StateRefused(ValueError):
    """A state that this version cannot continue from; the message says what to do."""


def dump(state: dict[str, object]) -> list[bytes | memoryview]:
    """Return the state in its stored form, in pieces: taken at one moment, written whenever.

    Its columns must not change any more.
    """
    columns: list[memoryview] = []
    head = FORMAT.encode() + b"\n" + orjson.dumps(_without_columns(state, columns))
    return [head + b" " * _missing(len(head) + 1) + b"\n", *columns]


def in_chunks(state: dict[str, object], size: int) -> list[list[bytes | memoryview]]:
    """Return the state in its stored form, in chunks of so many bytes; each is in pieces, none is copied."""
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
        if part.size:
            columns.append(memoryview(np.ascontiguousarray(part).view(np.uint8).data))
            columns.append(memoryview(bytes(_missing(part.nbytes))))
        return {_COLUMN: [part.dtype.str, start, part.size]}
    if isinstance(part, dict):
        return {key: _without_columns(value, columns) for key, value in part.items()}
    return part


def _missing(size: int) -> int:
    """Return how many bytes a size is short of a multiple of ALIGNED."""
    return -size % ALIGNED


def check_format(found: str) -> None:
    """Raise StateRefused where a state is of another format than this version's."""
    if found != FORMAT:
        raise StateRefused(
            f"its state is not {FORMAT!r} but {found[:40]!r}; --rebuild reads the topics from their "
            "beginning instead"
        )


def parse(raw: bytes | bytearray | mmap) -> dict[str, Any]:
    """Return what `dump` was given. StateRefused where it is of another format.

    Its columns are views of `raw`, and writable where that is. An engine keeps such columns as its own.
    """
    end_of_form = raw.find(b"\n")  # what follows is half a gigabyte: it is not copied
    check_format(raw[: end_of_form if end_of_form >= 0 else None].decode(errors="replace"))
    end_of_head = raw.find(b"\n", end_of_form + 1) + 1
    head = orjson.loads(raw[end_of_form + 1 : end_of_head])
    return {key: _with_columns(value, raw, end_of_head) for key, value in head.items()}


def _with_columns(part: object, raw: bytes | bytearray | mmap, body: int) -> Any:
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
