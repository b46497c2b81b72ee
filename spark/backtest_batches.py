"""A backtest spread over Spark's executors: each task runs a range of accounts through the same engine;
the driver adds them up.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession

from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.history.flaws import Flaw
from margin_platform.backtest.parts import merge, run_part, split
from margin_platform.backtest.report.measures import RunResult
from margin_platform.settings import settings
from spark.session import build

_SCHEMA = "number int, part binary"


def execute(job: Job, flaws: tuple[Flaw, ...], label: str, *, tasks: int) -> RunResult:
    """Run a job in a Spark session of its own, on the master of the settings:
    what `runs.execute` does in this process.
    """
    session = build("margin-backtest", settings().spark.master)
    try:
        return run_on_spark(session, job, flaws, label, tasks)
    finally:
        session.stop()


def run_on_spark(
    session: SparkSession, job: Job, flaws: tuple[Flaw, ...], label: str, tasks: int
) -> RunResult:
    """Run a job in that many tasks.

    Jobs and results travel pickled between this program and its own workers.
    """
    jobs = split(job, tasks)
    rows = [(number, pickle.dumps(part)) for number, part in enumerate(jobs)]
    frame = session.createDataFrame(rows, _SCHEMA).repartitionByRange(len(jobs), "number")
    done = sorted(frame.mapInPandas(_run, _SCHEMA).collect(), key=lambda row: row["number"])
    return merge(job, label, [pickle.loads(bytes(row["part"])) for row in done], flaws)


def _run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    for frame in frames:
        ran = [pickle.dumps(run_part(pickle.loads(bytes(part)))) for part in frame["part"]]
        yield pd.DataFrame({"number": frame["number"], "part": ran})
