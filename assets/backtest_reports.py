"""Backtest reports as assets: one partition a crisis on the bundled history, and the last session's book
replayed each night.
"""

import datetime as dt
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import dagster as dg
from pydantic import Field

from assets.keys import topic_key
from margin_platform.backtest import crises
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import ACCOUNTS, BETAS, CASH, FILLS, PRICES, VOLATILITY
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from resources.kafka import KafkaResource

# Backtests run once a night: the engine, its plots and the history (numba, matplotlib, pandas) are imported
# by the run that needs them, not with the code location.
if TYPE_CHECKING:
    from margin_platform.backtest.report.run_result import RunResult

PARTITIONS = dg.StaticPartitionsDefinition(list(crises.KEYS))


class _Shared(TypedDict):
    group_name: str
    kinds: set[str]
    owners: list[str]


_SHARED = _Shared(group_name="backtests", kinds={"python"}, owners=["team:risk"])


_FOLDER = "folder of the reports; empty takes backtests in the platform's data folder"


def _consistent(asset: str) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        "results_are_consistent",
        asset=asset,
        description="No cure without a call, no loss below zero, and something was evaluated.",
    )


class CrisisConfig(dg.Config):
    """The book and the history to run, and where the report goes."""

    accounts: int = Field(default=400, ge=1, description="accounts of the generated book")
    seed: int = Field(default=7, description="seed of the generated book: the same seed is the same book")
    folder: str = Field(default="", description=_FOLDER)
    prices: str = Field(
        default="", description="file of daily closes, as for `margin backtest`; empty takes the bundled one"
    )
    book: str = Field(
        default="", description="file of accounts, as for `margin backtest`; empty generates a book"
    )
    spark_tasks: int = Field(
        default=0,
        ge=0,
        description="tasks of a Spark job that share the accounts; 0 runs them in this process",
    )


class SessionConfig(dg.Config):
    """The session to replay, and where the report goes."""

    day: str = Field(default="", description="the session, YYYY-MM-DD; empty takes the last one before today")
    folder: str = Field(default="", description=_FOLDER)


def report_folder(folder: str) -> Path:
    return Path(folder) if folder else settings().data_folder / "backtests"


def metadata_of(result: "RunResult", measured: Json, place: Path) -> dict[str, Any]:
    """Return what the UI shows of a run: counts, losses and two small plots."""
    from margin_platform.backtest.report import plots
    from margin_platform.backtest.report.measures import COUNTED

    counts = {name: dg.MetadataValue.int(int(measured[name])) for name in COUNTED}
    drawings = {
        "calls_against_index": plots.png_data_uri(plots.calls_against_index, result),
        "equity_and_requirement": plots.png_data_uri(plots.equity_and_requirement, result),
    }
    return {
        **counts,
        "accounts": dg.MetadataValue.int(int(measured["accounts"])),
        "bars": dg.MetadataValue.int(int(measured["bars"])),
        "loss_beyond_equity": dg.MetadataValue.float(float(measured["loss_beyond_equity"])),
        "report": dg.MetadataValue.path(str(place / "report.html")),
        **{name: dg.MetadataValue.md(f"![{name}]({uri})") for name, uri in drawings.items()},
    }


def inconsistencies(summary: Json) -> list[str]:
    """List what cannot be in a sound result: cures without calls, losses below zero, a run that evaluated
    nothing.
    """
    found = []
    for run in summary["policies"]:
        if run["cured_calls"] > run["margin_calls"]:
            found.append(f"{run['policy']}: {run['cured_calls']} cured of {run['margin_calls']} calls")
        if run["loss_beyond_equity"] < 0 or run["worst_unsecured"]["amount"] < 0:
            found.append(f"{run['policy']}: a loss below zero")
        if run["bars"] < 1 or run["accounts"] < 1:
            found.append(f"{run['policy']}: nothing was evaluated")
        if run["accounts_called"] > run["accounts"]:
            found.append(f"{run['policy']}: more accounts called than there are")
    return found


@dg.asset(
    partitions_def=PARTITIONS,
    code_version="1",
    check_specs=[_consistent("backtest_reports")],
    description=(
        "A book through one crisis, of the bundled history or of one's own file, under the policy in force."
    ),
    **_SHARED,
)
def backtest_reports(context: dg.AssetExecutionContext, config: CrisisConfig) -> dg.MaterializeResult:
    from margin_platform.backtest import runs
    from margin_platform.backtest.history.sample_recognition import is_sample
    from margin_platform.backtest.report import report
    from spark import backtest_batches

    crisis = crises.crisis(context.partition_key)
    prices, book = (Path(text) if text else None for text in (config.prices, config.book))
    execution = partial(backtest_batches.execute, tasks=config.spark_tasks) if config.spark_tasks else None
    result, history = runs.crisis_run(
        crisis, current_policy(), config.accounts, config.seed, prices=prices, book=book, execution=execution
    )
    place = report_folder(config.folder) / crisis.key
    said = report.statement(history.source, adjusted=history.adjusted, sample=is_sample(history))
    summary = report.write([result], said, place)
    return _result(result, summary, place)


@dg.asset(
    deps=[topic_key(t) for t in (ACCOUNTS, CASH, FILLS, PRICES, BETAS, VOLATILITY)],
    check_specs=[_consistent("session_backtest")],
    description="The live book replayed through yesterday's prices as they arrived on Kafka.",
    **_SHARED,
)
def session_backtest(
    context: dg.AssetExecutionContext, config: SessionConfig, kafka: KafkaResource
) -> dg.MaterializeResult:
    from margin_platform.backtest import runs, session
    from margin_platform.backtest.report import report

    day = dt.date.fromisoformat(config.day) if config.day else session.latest_before(dt.datetime.now(dt.UTC))
    with kafka.bus() as bus:
        job = session.session_job(bus, day, current_policy())
    result = runs.execute(job, (), current_policy().version)
    place = report_folder(config.folder) / f"session-{day.isoformat()}"
    summary = report.write(
        [result], report.statement(f"prices.v1 of {day.isoformat()}", adjusted=False, sample=False), place
    )
    return _result(result, summary, place)


def _result(result: "RunResult", summary: Json, place: Path) -> dg.MaterializeResult:
    wrong = inconsistencies(summary)
    check = dg.AssetCheckResult(
        passed=not wrong,
        check_name="results_are_consistent",
        metadata={"wrong": dg.MetadataValue.json(wrong)},
    )
    return dg.MaterializeResult(
        metadata=metadata_of(result, summary["policies"][0], place), check_results=[check]
    )


@dg.asset_check(
    asset=backtest_reports,
    description="The bundled history still reaches over every crisis it is asked about.",
)
def history_covers_every_crisis() -> dg.AssetCheckResult:
    from margin_platform.backtest.history import sample_market

    index = sample_market.closes().index
    short = [c.key for c in crises.CRISES if c.first < index[0].date() or c.last > index[-1].date()]
    return dg.AssetCheckResult(passed=not short, metadata={"not_covered": dg.MetadataValue.json(short)})


ASSETS = [backtest_reports, session_backtest]
CHECKS = [history_covers_every_crisis]
