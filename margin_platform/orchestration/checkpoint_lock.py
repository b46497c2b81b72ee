"""One driver a checkpoint: a second would write other batches under the same numbers.

The lock is the kernel's, so it ends with its process, also by kill -9. A note beside it names the holder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from margin_platform.orchestration.worker_identity import this_worker
from margin_platform.settings import settings

RUN_VARIABLE = "MARGIN_RUN_ID"  # the Dagster run that started the driver
EXIT_CODE = 75  # EX_TEMPFAIL: nothing is broken, another driver does the work


class CheckpointHeld(RuntimeError):
    """Another driver works on the checkpoint; the message names the stream and the holder."""


@contextmanager
def held(folder: Path, streams: Iterable[str]) -> Iterator[None]:
    """Hold the checkpoints of these streams while the block runs.

    CheckpointHeld where another process holds one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for stream in sorted(streams):
            lock, note = folder / f"{stream}.lock", folder / f"{stream}.holder"
            try:
                stack.enter_context(FileLock(lock, timeout=0))
            except Timeout:
                raise CheckpointHeld(f"{stream}: its checkpoint is held by {_holder(note)}") from None
            note.write_text(_described(), encoding="utf-8")
        yield


def _described() -> str:
    run = settings().run_id
    return f"the driver {this_worker()}" + (f" of the Dagster run {run}" if run else "")


def _holder(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8")
    except FileNotFoundError:  # taken a moment ago
        return "another driver"
