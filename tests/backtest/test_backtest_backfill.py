"""What a risk officer starts from the Dagster UI:
a backfill of crises, and last session's book from Kafka.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.client.query import LAUNCH_PARTITION_BACKFILL_MUTATION
from dagster_graphql.test.utils import execute_dagster_graphql

from assets.backtest_reports import backtest_reports, session_backtest
from margin_platform.contracts.messages import ACCOUNTS, BETAS, CASH, FILLS, PRICES, VOLATILITY
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration import dagster_home
from margin_platform.orchestration.run_tags import BATCH_LANE, LANE_TAG
from resources.kafka import KafkaResource

LOCATION = Path(__file__).parent / "backtest_location.py"


def test_a_backfill_asked_for_as_the_ui_asks_runs_each_crisis_and_reports_it(tmp_path: Path) -> None:
    """The UI's own mutation, which names no lane, then the daemons' own iterations;
    the stack's coordinator queues each run as batch.
    """
    config = {"ops": {"backtest_reports": {"config": {"accounts": 24, "folder": str(tmp_path)}}}}
    asked = {
        "assetSelection": [{"path": ["backtest_reports"]}],
        "partitionNames": ["1990", "2011"],
        "runConfigData": config,
    }
    target = PythonFileTarget(
        str(LOCATION),
        attribute=None,
        working_directory=str(Path(__file__).parents[2]),
        location_name="backtests",
    )
    dagster_home.prepare(tmp_path)
    lanes = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))["run_coordinator"]
    in_this_process = {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    }
    overrides = {"run_launcher": in_this_process, "run_coordinator": lanes}
    with (
        instance_for_test(overrides=overrides) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        answer = execute_dagster_graphql(
            workspace.create_request_context(),
            LAUNCH_PARTITION_BACKFILL_MUTATION,
            variables={"backfillParams": asked},
        )
        launched = answer.data["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        queue = QueuedRunCoordinatorDaemon(interval_seconds=1)
        # the daemons' loops: each pass submits or watches runs, or takes from the queue what its limit allows
        for _ in range(20):
            list(queue.run_iteration(workspace))
            errors = [
                e
                for e in execute_backfill_iteration(workspace, logging.getLogger("backfill"))
                if e is not None
            ]
            assert errors == []
            backfill = instance.get_backfill(launched["backfillId"])
            assert backfill is not None
            if backfill.status.value not in ("REQUESTED",):
                break
        assert backfill.status.value == "COMPLETED_SUCCESS", backfill.error
        runs = instance.get_runs()
        done = instance.get_materialized_partitions(backtest_reports.key)
    assert {run.tags["dagster/partition"] for run in runs} == done == {"1990", "2011"}
    assert all(run.is_success and run.tags[LANE_TAG] == BATCH_LANE for run in runs)
    assert sorted(p.parent.name for p in tmp_path.glob("*/report.html")) == ["1990", "2011"]


@pytest.mark.kafka
def test_last_sessions_book_is_replayed_from_kafka_into_a_report(bus: Bus, tmp_path: Path) -> None:
    """A leveraged account of 5 June 2026 is called by that day's falling prices;
    the asset says so in its metadata and its files.
    """
    opened = int(dt.datetime(2026, 6, 5, 13, 30, tzinfo=dt.UTC).timestamp() * 1000)
    before = opened - 86_400_000
    for symbol in ("AAPL", "MSFT", "KO", "PEP"):
        bus.produce(BETAS, {"symbol": symbol, "beta": 1.0, "timestamp": before})
        bus.produce(
            VOLATILITY,
            {"symbol": symbol, "volatility_annual": 0.25, "quality": "OK", "tier": 0, "timestamp": before},
        )
        bus.produce(
            FILLS,
            {
                "fill_id": symbol,
                "account_id": "A",
                "symbol": symbol,
                "qty": 40,
                "price": 100.0,
                "timestamp": before,
            },
        )
        for minute, price in enumerate((100.0, 99.0, 92.0)):
            bus.produce(PRICES, {"symbol": symbol, "price": price, "timestamp": opened + 60_000 * minute})
    bus.produce(ACCOUNTS, {"account_id": "A", "margin_type": "REG_T", "timestamp": before})
    bus.produce(CASH, {"transfer_id": "1", "account_id": "A", "amount": 4_400.0, "timestamp": before})
    # the stream refused these two: they must not stop the night's run
    for n, at in enumerate((before, opened)):
        bus.produce(
            FILLS,
            {
                "fill_id": f"odd{n}",
                "account_id": "A",
                "symbol": "NOPE",
                "qty": 1,
                "price": 1.0,
                "timestamp": at,
            },
        )
    bus.produce(
        FILLS,
        {
            "fill_id": "huge",
            "account_id": "A",
            "symbol": "KO",
            "qty": 1e11,
            "price": 1e11,
            "timestamp": before,
        },
    )
    bus.flush()
    config = {"ops": {"session_backtest": {"config": {"day": "2026-06-05", "folder": str(tmp_path)}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        ran = dg.materialize(
            [session_backtest],
            run_config=config,
            instance=instance,
            resources={"kafka": KafkaResource(bootstrap_servers=bus.bootstrap)},
        )
    assert ran.success
    (made,) = ran.asset_materializations_for_node("session_backtest")
    assert (made.metadata["accounts"].value, made.metadata["margin_calls"].value) == (1, 1)
    assert {e.check_name: e.passed for e in ran.get_asset_check_evaluations()} == {
        "results_are_consistent": True
    }
    summary = json.loads((tmp_path / "session-2026-06-05" / "summary.json").read_text(encoding="utf-8"))
    assert summary["policies"][0]["margin_calls"] == 1


@pytest.mark.kafka
def test_a_session_without_prices_fails_and_says_what_is_missing(bus: Bus, tmp_path: Path) -> None:
    bus.produce(ACCOUNTS, {"account_id": "A", "margin_type": "REG_T", "timestamp": 1_780_000_000_000})
    bus.flush()
    config = {"ops": {"session_backtest": {"config": {"day": "2026-06-05", "folder": str(tmp_path)}}}}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(LookupError, match=r"prices\.v1: no price on 2026-06-05"),
    ):
        dg.materialize(
            [session_backtest],
            run_config=config,
            instance=instance,
            resources={"kafka": KafkaResource(bootstrap_servers=bus.bootstrap)},
        )
