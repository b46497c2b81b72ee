"""A run in parts: accounts do not touch one another, so ranges of them run anywhere and their records add up to the whole run's."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from margin_platform.backtest.engine import Job, run
from margin_platform.backtest.measures import RunResult
from margin_platform.backtest.record import Record
from margin_platform.book import Book
from margin_platform.evaluate import evaluate


@dataclass(frozen=True)
class Part:
    """What one range of accounts came to."""

    record: Record
    final_equity: np.ndarray


def split(job: Job, parts: int) -> list[Job]:
    """The job as that many jobs over neighbouring accounts, as even as can be. ValueError on less than one part."""
    if parts < 1:
        raise ValueError(f"parts: less than one, value {parts!r}")
    cuts = np.linspace(0, len(job.book), parts + 1).astype(int).tolist()
    return [_range(job, low, high) for low, high in zip(cuts[:-1], cuts[1:], strict=True) if high > low]


def _range(job: Job, low: int, high: int) -> Job:
    book = job.book
    first, last = int(book.offsets[low]), int(book.offsets[high])
    ids = tuple(book.account_ids[low:high])
    part = Book(ids, book.cash[low:high], book.margin_type[low:high], book.offsets[low : high + 1] - first, book.symbol[first:last],
                book.quantity[first:last])
    mine = frozenset(ids)
    return replace(job, book=part, trades=tuple(t for t in job.trades if t[1].get("account_id", ids[0]) in mine))


def run_part(job: Job) -> Part:
    """Runs one range of accounts to the end."""
    state = run(job)
    final = evaluate(state.holdings.book, job.path.at(len(job.path) - 1), job.policy)
    return Part(state.record, final.equity)


def run_in_processes(job: Job, label: str, workers: int, part_accounts: int = 5000) -> RunResult:
    """The job on the cores of one machine: ranges of accounts on worker processes, each sweeping on one thread."""
    parts = max(workers, -(-len(job.book) // part_accounts))
    parts += -parts % workers   # as many for each
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return merge(job, label, list(pool.map(run_part, split(job, parts))))


def merge(job: Job, label: str, parts: Sequence[Part]) -> RunResult:
    """The whole run's result from its parts, given in the order of `split`: decisions and fills by bar, totals added up."""
    decisions = [row for part in parts for row in part.record.decisions]
    fills = [row for part in parts for row in part.record.fills]
    bars = [tuple(float(sum(column)) for column in zip(*rows, strict=True)) for rows in zip(*(p.record.bars for p in parts), strict=True)]
    record = Record(sorted(decisions, key=lambda r: r.bar), sorted(fills, key=lambda r: r.bar), bars)
    return RunResult(label, job.policy, job.path, job.book, record, np.concatenate([p.final_equity for p in parts]))
