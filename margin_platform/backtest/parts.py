"""A run in parts: accounts do not touch one another, so ranges of them run anywhere and their records add
up to the whole run's.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from margin_platform.backtest import runs
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.record import Record
from margin_platform.backtest.engine.state import State
from margin_platform.backtest.history.flaws import Flaw
from margin_platform.backtest.report.run_result import RunResult
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import sweep_on

SMALLEST_PART = 2500  # accounts: a smaller one takes longer over what each bar costs in any part
_LARGEST_PART = 10_000  # accounts: what is kept of a killed run are whole parts and their checkpoints
_LOOK_FOR_CYCLES = 50_000  # objects made between two looks for cycles: the rows of a record have none
_LOOK_SECONDS = 0.2  # between looks at the progress of the workers


@dataclass(frozen=True)
class Part:
    """What one range of accounts came to."""

    record: Record
    final_equity: np.ndarray


def split(job: Job, parts: int) -> list[Job]:
    """Split the job into that many jobs over neighboring accounts, as even as can be.

    ValueError on less than one part.
    """
    if parts < 1:
        raise ValueError(f"parts: less than one, value {parts!r}")
    cuts = np.linspace(0, len(job.book), parts + 1).astype(int).tolist()
    return [_range(job, low, high) for low, high in zip(cuts[:-1], cuts[1:], strict=True) if high > low]


def _range(job: Job, low: int, high: int) -> Job:
    book = job.book
    first, last = int(book.offsets[low]), int(book.offsets[high])
    ids = tuple(book.account_ids[low:high])
    part = Book(
        ids,
        book.cash[low:high],
        book.margin_type[low:high],
        book.offsets[low : high + 1] - first,
        book.symbol[first:last],
        book.quantity[first:last],
    )
    mine = frozenset(ids)
    return replace(
        job, book=part, trades=tuple(t for t in job.trades if t[1].get("account_id", ids[0]) in mine)
    )


def run_part(job: Job) -> Part:
    """Run one range of accounts to the end."""
    return _part(job, runs.finish(job))


def _part(job: Job, state: State) -> Part:
    return Part(state.record, runs.final_equity(job, state))


def execute(
    job: Job,
    flaws: tuple[Flaw, ...],
    label: str,
    *,
    checkpoints: Path | None = None,
    progress: runs.Progress | None = None,
) -> RunResult:
    """Run a job to its end, a large book in parts on the cores of this machine, each sweeping on one thread.

    No byte of the result depends on how many parts there are.
    checkpoints: a folder; a run killed there continues, part by part, and comes to the same bytes.
    """
    cores = os.cpu_count() or 1
    jobs = split(job, parts_of(len(job.book), cores))
    if len(jobs) == 1:
        return runs.execute(job, flaws, label, checkpoint=_file(checkpoints, job), progress=progress)
    # a fresh process without threads imports the program once for all workers
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    done, stop = context.Array("q", len(jobs)), context.Event()
    with (
        _few_looks_for_cycles(),
        ProcessPoolExecutor(min(cores, len(jobs)), context, _become_worker, (done, stop)) as pool,
    ):
        running = [
            pool.submit(_work, number, part, _file(checkpoints, part)) for number, part in enumerate(jobs)
        ]
        try:
            while (seen := wait(running, _LOOK_SECONDS, FIRST_EXCEPTION)).not_done and not any(
                f.exception() for f in seen.done
            ):
                if progress is not None:
                    progress(sum(done[:]) // len(jobs), len(job.path))
        finally:
            stop.set()  # interrupted, or a part failed: the others end at their next bar
        failed = [
            e for future in running if (e := future.exception()) is not None and not isinstance(e, _Stopped)
        ]
        if failed:
            raise failed[0]
        return merge(job, label, [future.result() for future in running], flaws)


@contextmanager
def _few_looks_for_cycles() -> Iterator[None]:
    """Look for cycles less often: rows by the hundred thousand come from the workers."""
    before = gc.get_threshold()
    gc.set_threshold(_LOOK_FOR_CYCLES)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def parts_of(accounts: int, cores: int) -> int:
    """Return how many parts a book of so many accounts is split into: as many for each core, of neither too
    few accounts nor too many.
    """
    for_each_core = -(-accounts // (cores * _LARGEST_PART))
    return max(1, min(cores * for_each_core, -(-accounts // SMALLEST_PART)))


def _file(folder: Path | None, job: Job) -> Path | None:
    return None if folder is None else folder / f"{job.fingerprint()[:16]}.checkpoint"


class _Stopped(RuntimeError):
    """The program that asked for this part no longer needs it."""


_worker: dict[str, Any] = {}  # of a worker process: what it shares with the program


def _become_worker(done: object, stop: object) -> None:
    """Leave Ctrl-C to the program, sweep on one thread, and end when the program is gone, even by kill -9."""
    sweep_on(threads=1)
    gc.set_threshold(_LOOK_FOR_CYCLES)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker.update(done=done, stop=stop)
    threading.Thread(target=_follow_the_program, daemon=True).start()


def _follow_the_program() -> None:
    program = multiprocessing.parent_process()
    assert program is not None
    program.join()
    os._exit(1)


def _work(number: int, job: Job, checkpoint: Path | None) -> Part:
    def after_bar(now: State) -> None:
        _worker["done"][number] = now.bar
        if _worker["stop"].is_set():
            raise _Stopped

    return _part(job, runs.finish(job, checkpoint=checkpoint, after_bar=after_bar))


def merge(job: Job, label: str, parts: Sequence[Part], flaws: tuple[Flaw, ...] = ()) -> RunResult:
    """Merge the parts, in the order of `split`, into the whole run's result."""
    record = Record(
        [row for part in parts for row in part.record.decisions],
        [row for part in parts for row in part.record.fills],
        [
            tuple(sum(column) for column in zip(*rows, strict=True))
            for rows in zip(*(p.record.bars for p in parts), strict=True)
        ],
    )
    return runs.result(job, record, np.concatenate([p.final_equity for p in parts]), flaws, label)
