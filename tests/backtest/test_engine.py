"""The engine: resumable to the same bytes, deterministic, its columns the ledger's,
its observations those of the live event.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from margin_platform.backtest import crises, runs
from margin_platform.backtest.books import generated
from margin_platform.backtest.engine.account_book import Holdings
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.priced_bars import PricedBars
from margin_platform.backtest.engine.rows import Rows, observation
from margin_platform.backtest.engine.state import start
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.report import report
from margin_platform.backtest.report.run_result import RunResult
from margin_platform.contracts.messages import CASH, FILLS
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ladder.observation import Observation
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.bands import band_codes
from margin_platform.snapshots.events import calc_events, status_event
from margin_platform.snapshots.giving_out.inputs import Inputs

FIRST, LAST = dt.date(2020, 2, 24), dt.date(2020, 4, 3)


def _job(accounts: int = 150) -> Job:
    opening = sample_market.closes().loc[FIRST.isoformat()]
    prices = {str(s): float(p) for s, p in opening.items()}
    given = runs.keeping_jumps(
        runs.generated_book(generated.generate(generated.usual_counts(accounts), prices), current_policy())
    )
    return runs.prepare(runs.sample_history(), [], given, first=FIRST, last=LAST)[0]


@pytest.fixture(scope="module")
def job() -> Job:
    return _job()


@pytest.fixture(scope="module")
def result(job: Job) -> RunResult:
    return runs.execute(job, (), "whole")


def test_the_crash_of_2020_leads_to_every_rung(result: RunResult) -> None:
    seen = {r.action for r in result.record.decisions}
    assert {
        "WARNING",
        "CALL",
        "CLOSE_ONLY",
        "STRESS_RESTRICTION",
        "LIQUIDATE",
        "CALL_CURED",
        "LIFTED",
    } <= seen


def test_a_killed_run_continues_to_the_same_bytes(
    job: Job, result: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_BARS", 5)
    checkpoint = tmp_path / "run.checkpoint"

    def die_at_17(done: int, _: int) -> None:
        if done == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.execute(job, (), "whole", checkpoint=checkpoint, progress=die_at_17)
    assert checkpoint.exists()
    bars = []
    again = runs.execute(job, (), "whole", checkpoint=checkpoint, progress=lambda done, _: bars.append(done))
    assert bars[0] == 16  # from bar 15 on, not from the beginning
    report.write([result], "x", tmp_path / "whole")
    report.write([again], "x", tmp_path / "resumed")
    names = sorted(p.name for p in (tmp_path / "whole").iterdir())
    assert names == sorted(p.name for p in (tmp_path / "resumed").iterdir())
    assert all(
        (tmp_path / "whole" / n).read_bytes() == (tmp_path / "resumed" / n).read_bytes() for n in names
    )
    bars.clear()
    third = runs.execute(job, (), "whole", checkpoint=checkpoint, progress=lambda done, _: bars.append(done))
    assert (bars, repr(third.record)) == ([], repr(result.record))  # finished: nothing is run again


def test_a_checkpoint_of_another_job_is_not_continued(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "CHECKPOINT_BARS", 5)
    checkpoint = tmp_path / "run.checkpoint"
    runs._save(checkpoint, job.fingerprint(), dataclasses.replace(start(job), bar=20))
    other = dataclasses.replace(job, policy=job.policy.override({"long_rate": 0.3}))
    bars = []
    runs.execute(other, (), "other", checkpoint=checkpoint, progress=lambda done, _: bars.append(done))
    assert bars[0] == 1


def test_a_job_is_known_by_everything_that_its_result_rests_on(job: Job) -> None:
    """A rate that the book gives an instrument is a column of the market, not of the policy."""
    market = job.path.market.with_columns(long_rate=np.full(len(job.path.market.symbols), 0.5))
    other = dataclasses.replace(job, path=dataclasses.replace(job.path, market=market))
    assert other.fingerprint() != job.fingerprint() == _job().fingerprint()


def test_bars_priced_together_are_priced_as_each_alone(job: Job) -> None:
    """Every column, bit for bit; one price is missing and one stale."""
    price, stale = job.path.price.copy(), job.path.stale.copy()
    price[5, 2], stale[7, 0] = np.nan, True
    path = dataclasses.replace(job.path, price=price, stale=stale)
    bars = PricedBars(path, job.policy)
    for bar in range(len(path)):
        together, alone = bars.at(bar), PricedMarket.of(path.at(bar), job.policy)
        for ours, expected in ((together.schedule, alone.schedule), (together.shares, alone.shares)):
            assert [column.tobytes() for column in ours] == [column.tobytes() for column in expected]


def test_an_observation_from_the_columns_is_that_of_the_live_status_event(job: Job) -> None:
    """Field by field, for every account and on a day of every kind of band; a stale price among them."""
    stale = job.path.stale.copy()
    stale[12, 0] = True
    path = dataclasses.replace(job.path, stale=stale)
    for bar in (0, 12, 15):
        market = path.at(bar)
        margin = evaluate_accounts(
            job.book, PricedMarket.of(market, job.policy), np.arange(len(job.book), dtype=np.int64)
        )
        codes = band_codes(margin)
        time = int(path.times[bar])
        rows = Rows.of(margin, codes, np.arange(len(codes)))
        inputs = Inputs(time, bar, {}, np.full(len(market.symbols), time))
        for row, calc in enumerate(calc_events(job.book, market, margin, inputs)):
            live = Observation.from_status_event(
                status_event(calc, row, int(codes[row]), job.book, market, margin, inputs)
            )
            ours = observation(rows, row, job.book, market, time, live.calc_id)
            assert ours == live


def test_the_columns_follow_the_ledger_when_positions_appear_change_and_go(job: Job) -> None:
    holdings = Holdings(job.book, job.path.market)
    account = job.book.account_ids[3]
    held = holdings.quantity(3)
    code, qty = next(iter(held.items()))
    symbol = job.path.market.symbols[code]
    new = next(s for c, s in enumerate(job.path.market.symbols) if c not in held)
    cash = float(holdings.book.cash[3])
    fill = {"account_id": account, "timestamp": 2_000_000_000_000}
    holdings.apply(FILLS, fill | {"fill_id": "1", "symbol": symbol, "qty": -qty, "price": 10.0})
    holdings.apply(FILLS, fill | {"fill_id": "2", "symbol": new, "qty": -7.0, "price": 3.0})
    holdings.apply(
        CASH, {"account_id": account, "transfer_id": "3", "amount": 5.0, "timestamp": 2_000_000_000_000}
    )
    expected = {c: q for c, q in held.items() if c != code} | {job.path.market.code_of()[new]: -7.0}
    assert holdings.quantity(3) == expected
    assert holdings.book.cash[3] == pytest.approx(cash + qty * 10 + 21 + 5, abs=1e-6)
    assert holdings.quantity(2) == Holdings(job.book, job.path.market).quantity(2)
    assert holdings.book.symbol[holdings.book.offsets[3] : holdings.book.offsets[4]].tolist() == sorted(
        expected
    )
    # once, by its id
    assert holdings.apply(FILLS, fill | {"fill_id": "1", "symbol": symbol, "qty": -qty, "price": 10.0}) == []


def test_generated_books_are_the_same_for_the_same_seed() -> None:
    prices = {str(s): float(p) for s, p in sample_market.closes().iloc[-1].items()}
    first, second = (generated.generate(generated.usual_counts(50), prices, seed=3) for _ in range(2))
    assert first == second
    assert first != generated.generate(generated.usual_counts(50), prices, seed=4)


def test_every_crisis_of_the_partitions_runs_on_the_sample() -> None:
    for crisis in crises.CRISES:
        result, _ = runs.crisis_run(
            dataclasses.replace(crisis, last=crisis.first + dt.timedelta(days=20)), current_policy(), 20
        )
        assert len(result.record.bars) >= 10
