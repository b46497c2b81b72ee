"""A run in parts, here and on Spark's executors, comes to what the whole run comes to."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from margin_platform.backtest import parts, runs
from margin_platform.backtest.books import generated
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.parts import merge, run_part, split
from margin_platform.backtest.report.measures import measures
from margin_platform.backtest.report.run_result import RunResult
from margin_platform.contracts.messages import CASH, BadEvent
from margin_platform.policy.policy import current_policy
from spark import backtest_batches

FIRST, LAST = dt.date(2020, 3, 2), dt.date(2020, 3, 27)


@pytest.fixture(scope="module")
def job() -> Job:
    prices = {str(s): float(p) for s, p in sample_market.closes().loc[FIRST.isoformat()].items()}
    given = runs.keeping_jumps(
        runs.generated_book(generated.generate(generated.usual_counts(90), prices), current_policy())
    )
    return runs.prepare(runs.sample_history(), [], given, first=FIRST, last=LAST)[0]


@pytest.fixture(scope="module")
def whole(job: Job) -> RunResult:
    return runs.execute(job, (), "run")


def _same(ours: RunResult, whole: RunResult) -> None:
    assert repr(ours.record.decisions) == repr(whole.record.decisions)
    assert repr(ours.record.fills) == repr(whole.record.fills)
    assert ours.record.bars == whole.record.bars
    assert ours.final_equity.tolist() == whole.final_equity.tolist()
    assert measures(ours) == measures(whole)


def test_parts_add_up_to_the_whole(job: Job, whole: RunResult) -> None:
    _same(merge(job, "run", [run_part(part) for part in split(job, 7)]), whole)


def test_worker_processes_come_to_the_same_and_name_what_one_of_them_refused(
    job: Job, whole: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three parts on worker processes, then the same with a transfer in the last that no ledger holds:
    the others are kept, finished.
    """
    monkeypatch.setattr(parts, "SMALLEST_PART", 40)
    monkeypatch.setattr(parts.os, "cpu_count", lambda: 3)
    bars = []
    _same(
        parts.execute(job, (), "run", checkpoints=tmp_path, progress=lambda done, _: bars.append(done)), whole
    )
    assert bars == sorted(bars)
    assert len(list(tmp_path.iterdir())) == 3
    transfer = {
        "transfer_id": "1",
        "account_id": job.book.account_ids[-1],
        "amount": 9e12,
        "timestamp": int(job.path.times[1]),
    }
    with pytest.raises(BadEvent, match="amount: more than a ledger holds"):
        parts.execute(dataclasses.replace(job, trades=((CASH, transfer),)), (), "run", checkpoints=tmp_path)


def test_a_book_goes_to_every_core_in_parts_neither_too_small_nor_too_large() -> None:
    most = {(2_500, 8): 1, (10_000, 2): 2, (10_000, 8): 4, (100_000, 8): 16, (30_000, 2): 4}
    assert {given: parts.parts_of(*given) for given in most} == most


def test_more_parts_than_accounts_are_as_many_as_accounts(job: Job) -> None:
    assert len(split(job, 10_000)) == len(job.book)
    with pytest.raises(ValueError, match="parts"):
        split(job, 0)


@pytest.mark.nightly
@pytest.mark.spark
def test_spark_comes_to_the_same(job: Job, whole: RunResult, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGIN_SPARK_MASTER", "local[2]")
    _same(backtest_batches.execute(job, (), "run", tasks=4), whole)
