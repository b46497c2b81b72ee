"""The backtest in Dagster: partitions by crisis, checks on the results, plots in the metadata, schedules
that name their runs.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import dagster as dg
import pytest

from assets.backtest_reports import PARTITIONS, backtest_reports, history_covers_every_crisis, inconsistencies
from jobs.backtest import JOBS, TAGS, crises_backtest, nightly_session, weekly_crises
from margin_platform.backtest.history import sample_market
from margin_platform.orchestration.run_tags import BATCH_LANE, LANE_TAG


def test_a_partition_writes_its_report_and_says_what_it_found(tmp_path: Path) -> None:
    config = {"ops": {"backtest_reports": {"config": {"accounts": 24, "folder": str(tmp_path)}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        ran = dg.materialize(
            [backtest_reports, history_covers_every_crisis],
            partition_key="1990",
            run_config=config,
            instance=instance,
        )
    assert ran.success
    (made,) = ran.asset_materializations_for_node("backtest_reports")
    assert made.metadata["accounts"].value == 24
    assert str(made.metadata["calls_against_index"].value).startswith(
        "![calls_against_index](data:image/png;base64,"
    )
    checks = {e.check_name: e.passed for e in ran.get_asset_check_evaluations()}
    assert checks == {"results_are_consistent": True, "history_covers_every_crisis": True}
    assert (tmp_path / "1990" / "report.html").stat().st_size > 10_000


def test_a_partition_takes_a_price_file_and_a_book_of_ones_own(tmp_path: Path) -> None:
    """One name at half as much again as the bundled history has it, so that it is not taken for it:
    prices as traded.
    """
    closes = sample_market.closes().loc["1990-06-01":"1990-12-01", ["KO"]] * 1.5
    closes.to_csv(tmp_path / "prices.csv", index_label="date")
    opening = float(closes.loc["1990-07-16", "KO"])
    held = [{"symbol": "KO", "qty": 1000, "long_rate": 0.25}]
    book = {
        "accounts": [{"account_id": "A", "cash": -600 * opening, "positions": held}],
        "policy": {"use_conc": False},
    }
    (tmp_path / "book.json").write_text(json.dumps(book), encoding="utf-8")
    own = {
        "folder": str(tmp_path),
        "prices": str(tmp_path / "prices.csv"),
        "book": str(tmp_path / "book.json"),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        ran = dg.materialize(
            [backtest_reports],
            partition_key="1990",
            run_config={"ops": {"backtest_reports": {"config": own}}},
            instance=instance,
        )
    (made,) = ran.asset_materializations_for_node("backtest_reports")
    assert made.metadata["accounts"].value == 1
    summary = json.loads((tmp_path / "1990" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["policies"][0]["first"], summary["policies"][0]["last"]) == ("1990-07-16", "1990-10-31")
    assert summary["prices"].startswith("prices.csv. Prices are taken as traded")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cured_calls": 3}, "cured"),
        ({"loss_beyond_equity": -1.0}, "below zero"),
        ({"bars": 0}, "nothing"),
        ({"accounts_called": 9}, "more accounts"),
    ],
)
def test_the_check_notices_what_cannot_be(change: dict[str, float], said: str) -> None:
    sound = {
        "policy": "p",
        "cured_calls": 1,
        "margin_calls": 2,
        "loss_beyond_equity": 0.0,
        "worst_unsecured": {"amount": 0.0},
        "bars": 5,
        "accounts": 4,
        "accounts_called": 2,
    }
    assert inconsistencies({"policies": [sound]}) == []
    (found,) = inconsistencies({"policies": [sound | change]})
    assert said in found


def test_the_weekly_schedule_asks_for_every_crisis_once() -> None:
    saturday = dt.datetime(2026, 11, 21, 2, tzinfo=dt.UTC)
    definitions = dg.Definitions(assets=[backtest_reports], jobs=[crises_backtest])
    context = dg.build_schedule_context(
        scheduled_execution_time=saturday, repository_def=definitions.get_repository_def()
    )
    requests = weekly_crises.evaluate_tick(context).run_requests or []
    assert [r.partition_key for r in requests] == list(PARTITIONS.get_partition_keys())
    assert len({r.run_key for r in requests}) == 8
    assert all(r.tags[LANE_TAG] == BATCH_LANE for r in requests)


def test_the_nightly_schedule_names_the_session_before() -> None:
    tuesday = dt.datetime(2026, 11, 24, 6, 30, tzinfo=dt.UTC)
    request = nightly_session(dg.build_schedule_context(scheduled_execution_time=tuesday))
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["session_backtest"]["config"] == {"day": "2026-11-23"}


def test_every_job_runs_in_the_batch_lane() -> None:
    assert all(job.tags[LANE_TAG] == BATCH_LANE for job in JOBS)
    assert TAGS[LANE_TAG] == BATCH_LANE
