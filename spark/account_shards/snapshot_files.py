"""A shard's newest snapshots as files of the machine that took them, beside the store's own copies.

A worker that takes a lost one's place on the same machine has half a gigabyte from such a file at once, where
the store takes seconds to hand it on. Nothing rests on it: where it is missing the store is read. The folder
is the one that Spark has for an application's files on a machine, and deletes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from uuid import uuid4

from pyspark import SparkFiles, TaskContext

Chunks = Sequence[Sequence[bytes | memoryview]]  # of a state, see `durable_state.in_chunks`


def keep(name: str, batch: int, chunks: Chunks) -> threading.Thread:
    """Begin to write the snapshot of a batch, beside the batches that follow. name: of query and shard."""
    writing = threading.Thread(target=_write, args=(name, batch, chunks), daemon=True)
    writing.start()
    return writing


def _write(name: str, batch: int, chunks: Chunks) -> None:
    with suppress(OSError):  # no room, for example: then there is none
        path = _path(name, batch)
        part = path.with_suffix(f".{uuid4().hex}")  # a batch that Spark tries again takes its snapshot again
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for chunk in chunks:
                    file.writelines(chunk)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def read(name: str, batch: int) -> mmap | None:
    """Return the snapshot of a batch, None where it is not on this machine.

    What is written to it stays in this process.
    """
    with suppress(OSError), _path(name, batch).open("rb") as file:
        return mmap(file.fileno(), 0, access=ACCESS_COPY)
    return None


def drop(name: str, batch: int) -> None:
    """Delete a snapshot."""
    with suppress(OSError):
        _path(name, batch).unlink()


def _path(name: str, batch: int) -> Path:
    if TaskContext.get() is None:
        raise FileNotFoundError("no folder of Spark's: not in one of its tasks")
    return Path(SparkFiles.getRootDirectory()) / f"snapshot-{name}-{batch}"
