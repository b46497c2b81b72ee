"""What the driver shows of a query by shard: lines and figures as of every stream, and each shard."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from margin_platform.contracts.messages import DEAD_LETTER, FIRM_RISK, MARGIN_CALC
from margin_platform.stack.status import shard_figures, stream_figures
from spark.account_shards.metrics import ShardMetrics
from spark.account_shards.query import Sharded
from spark.account_shards.reports import ByShard, ShardReport
from spark.metrics import Endpoint
from spark.stream_query import Running
from spark.tables.query import Appends, NotAppended

TABLES = {"margin_snapshots": MARGIN_CALC, "firm_exposure": FIRM_RISK}


def report(
    batch: int, calc: int, *, cold: int = 0, dead: int = 0, oldest: float | None = None
) -> ShardReport:
    return {
        "batch": batch,
        "events": {MARGIN_CALC: calc, DEAD_LETTER: dead},
        "cold": cold,
        "state_bytes": 1_000 * batch,
        "event_time": 5_000 + batch,
        "produced": 0,
        "oldest_input_seconds": oldest,
        "where": "host:7",
    }


def progress(batch: int, *, did: bool = True, rows: int = 3) -> dict[str, Any]:
    """A micro-batch as Spark tells of it: two sources of Kafka, and the ticks."""
    kafka = {
        "description": "KafkaV2[Subscribe[prices.v1]]",
        "numInputRows": rows,
        "endOffset": {"prices.v1": {"0": 10 + batch, "1": 4}},
        "latestOffset": {"prices.v1": {"0": 12 + batch, "1": 4}},
    }
    accounts = kafka | {"endOffset": {"accounts.v1": {"0": 9}}, "latestOffset": {"accounts.v1": {"0": 9}}}
    ticks = {"description": "RateStreamV2", "numInputRows": 1, "endOffset": 7, "latestOffset": 8}
    took = {"triggerExecution": 250} | ({"addBatch": 200} if did else {})
    return {
        "batchId": batch,
        "timestamp": "2026-11-30T12:00:00.750Z",
        "durationMs": took,
        "sources": [kafka, accounts, ticks],
    }


class Query(SimpleNamespace):
    """As much of a query as is shown."""


def running(*told: dict[str, Any]) -> tuple[Running, list[Any], dict[int, ShardReport]]:
    reports: dict[int, ShardReport] = {}
    query: Any = Query(name="margin_snapshots", recentProgress=list(told), lastProgress=told[-1])
    shown = Running(lambda: Sharded(query, Query(value=reports)), TABLES)  # type: ignore[arg-type]
    lines: list[Any] = []
    shown.listeners = [lines.append]
    return shown, lines, reports


def test_a_line_a_micro_batch_has_the_figures_of_all_shards() -> None:
    only_ticks, no_batch = progress(2, rows=0), progress(3, did=False)
    shown, lines, reports = running(progress(0), progress(0), progress(1), only_ticks, no_batch)
    ByShard().addInPlace(reports, {0: report(1, 5, dead=1, oldest=3.0), 1: report(1, 2, cold=1, oldest=9.0)})
    shown.tell()
    shown.tell()
    assert [line["batch_id"] for line in lines] == [0, 1]
    last = lines[1]
    assert (last["stream"], last["rows"], last["seconds"], last["lag"]) == ("margin_snapshots", 6, 0.25, 2)
    assert last["ended"] == 1_796_040_001_000
    assert last["offsets"] == {"prices.v1": {"0": 11, "1": 4}, "accounts.v1": {"0": 9}}
    assert sum(line["assets"]["margin_snapshots"]["rows"] for line in lines) == 7
    margin = last["assets"]["margin_snapshots"]
    assert (margin["dead_letters"], margin["state_bytes"], margin["event_time"]) == (1, 2_000, 5_001)
    assert margin["oldest_input_seconds"] == 9.0
    assert set(last["assets"]) == set(TABLES)


def test_spark_is_asked_for_the_batches_before_the_last_only_where_one_was_not_seen() -> None:
    """To ask for twenty takes 25 ms of each micro-batch."""
    asked: list[int] = []

    class Asked(Query):
        @property
        def recentProgress(self) -> list[dict[str, Any]]:  # noqa: N802
            asked.append(self.lastProgress["batchId"])
            return [progress(number) for number in range(self.lastProgress["batchId"] + 1)]

    reports: dict[int, ShardReport] = {}
    query: Any = Asked(name="margin_snapshots")
    shown = Running(lambda: Sharded(query, Query(value=reports)), TABLES)  # type: ignore[arg-type]
    lines: list[Any] = []
    shown.listeners = [lines.append]
    for number in (0, 1, 2, 5, 6):
        ByShard().addInPlace(reports, {0: report(number, 1)})
        query.lastProgress = progress(number)
        shown.tell()
    assert [line["batch_id"] for line in lines] == [*range(7)]
    assert asked == [5]


@pytest.mark.parametrize(
    ("told", "reason", "starts"),
    [
        ((), "Python worker failed to connect back.", 5),
        ((progress(0),), "Python worker failed to connect back.", 1),
        ((), "offsets out of range", 1),
    ],
)
def test_a_query_is_started_again_only_where_spark_gave_its_first_python_process_too_little_time(
    told: tuple[dict[str, Any], ...], reason: str, starts: int
) -> None:
    last = told[-1] if told else None
    query: Any = Query(name="q", recentProgress=list(told), lastProgress=last, exception=lambda: reason)
    begun: list[Any] = []
    shown = Running(lambda: begun.append(query) or query, {})  # type: ignore[func-returns-value]
    shown.listeners = []
    shown.tell()
    while shown.started_again():
        pass
    assert len(begun) == starts


def test_a_refused_state_is_told_in_one_line() -> None:
    said = "Job aborted\nmargin_platform.durable_state.StateRefused: its state is no more\n\n  at org"
    query: Any = Query(name="q", exception=lambda: said)
    shown = Running(lambda: query, {})
    assert shown.failure == "its state is no more"
    query.exception = lambda: "offsets out of range"
    assert shown.failure == "offsets out of range"


def test_a_shards_counts_add_up_and_its_newest_report_stands() -> None:
    found = ByShard().addInPlace({0: report(1, 5, cold=1, dead=1)}, {0: report(2, 4, dead=2)})
    assert found[0]["events"] == {MARGIN_CALC: 9, DEAD_LETTER: 3}
    assert (found[0]["batch"], found[0]["cold"]) == (2, 1)


def test_prometheus_gets_every_shard_and_margin_streams_reads_them_there() -> None:
    shown, _, reports = running(progress(0))
    ByShard().addInPlace(reports, {1: report(4, 2, cold=2), 0: report(4, 2)})
    endpoint = Endpoint("127.0.0.1", 0, ShardMetrics([shown]))
    endpoint.watch(shown)
    try:
        shown.tell()
        rows = shard_figures.read(endpoint.url)
        (stream,) = stream_figures.read(endpoint.url)["streams"]  # type: ignore[misc]
    finally:
        endpoint.close()
    of_each = {"stream": "margin_snapshots", "where": "host:7", "version": 4, "state_bytes": 4_000}
    assert rows == [of_each | {"shard": 0, "cold_starts": 0}, of_each | {"shard": 1, "cold_starts": 2}]
    assert (stream["stream"], stream["lag"], stream["records"]) == ("margin_snapshots", 2, 6)


def test_a_driver_without_shards_is_named() -> None:
    endpoint = Endpoint("127.0.0.1", 0)
    try:
        with pytest.raises(shard_figures.NoShards, match="runs no shards"):
            shard_figures.read(endpoint.url)
    finally:
        endpoint.close()
    with pytest.raises(shard_figures.NoShards, match="nothing answers"):
        shard_figures.read(endpoint.url)


def test_a_batch_that_a_table_refuses_is_logged_whole_and_raised_in_few_words(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Spark overflows its stack over a long text, and shows nothing else."""

    def refuses(*_: str) -> Any:
        raise ValueError("no room at /tables" + "-" * 9_000)

    batch: Any = SimpleNamespace(sparkSession=SimpleNamespace(sparkContext=SimpleNamespace(environment={})))
    batch.select = refuses
    with pytest.raises(NotAppended, match="^batch 7: builtins.ValueError: no room at /tables") as refused:
        Appends(str(tmp_path), lambda _: "q")(batch, 7)
    assert len("".join(traceback.format_exception(refused.value))) < 3_000
    assert "-" * 9_000 in caplog.text
