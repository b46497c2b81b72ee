"""The code location as Dagster sees it:
it loads with nothing around it, and its names change only on purpose.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import yaml

from assets.keys import topic_key
from margin_platform.contracts.messages import FILLS, NOTIFICATIONS, PRICES, TOPICS
from margin_platform.definitions import definitions
from margin_platform.orchestration import dagster_home

ROOT = Path(__file__).parents[2]
NAMES = Path(__file__).parent / "definition_names.yaml"


def names() -> dict[str, list[str]]:
    repository = definitions.get_repository_def()
    return {
        "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
        "checks": sorted(
            f"{key.asset_key.to_user_string()}: {key.name}" for key in repository.asset_graph.asset_check_keys
        ),
        "jobs": sorted(n for n in repository.job_names if not n.startswith("__")),
        "schedules": sorted(s.name for s in repository.schedule_defs),
        "sensors": sorted(s.name for s in repository.sensor_defs),
    }


def test_the_names_of_all_definitions_are_the_reviewed_ones() -> None:
    """`python -m tests.orchestration.test_definitions` writes the list again;
    it is short enough to be read.
    """
    assert names() == yaml.safe_load(NAMES.read_text(encoding="utf-8"))
    assert len(NAMES.read_text(encoding="utf-8").splitlines()) <= 100


def test_the_code_location_loads_in_an_empty_environment_without_a_warning() -> None:
    program = Path(sys.executable).parent / "dg"
    foreign = "ignore:Class `SparkDeclarativePipelineScaffolder`"  # the Makefile says why
    done = subprocess.run(
        [program, "check", "defs"],
        env={"PATH": os.defpath, "PYTHONWARNINGS": foreign},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All definitions loaded successfully" in done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


def test_lineage_leads_from_prices_and_fills_to_the_notice() -> None:
    graph = definitions.get_repository_def().asset_graph
    for source in (PRICES, FILLS):
        reached, front = set(), {topic_key(source)}
        while front:
            reached |= front
            front = {child for key in front for child in graph.get(key).child_keys} - reached
        assert topic_key(NOTIFICATIONS) in reached
        assert {dg.AssetKey("margin_snapshots"), dg.AssetKey("firm_exposure")} <= reached


def test_every_topic_of_the_contract_is_in_the_graph() -> None:
    keys = definitions.get_repository_def().asset_graph.get_all_asset_keys()
    assert {topic_key(t) for t in TOPICS} <= keys


def test_the_three_tables_say_who_owns_them_what_they_hold_and_how_old_they_may_be() -> None:
    graph = definitions.get_repository_def().asset_graph
    for table in ("volatility", "margin_snapshots", "firm_exposure"):
        node = graph.get(dg.AssetKey(table))
        assert node.owners
        assert node.kinds == {"spark", "deltalake"}
        assert node.metadata["dagster/column_schema"].columns
        assert node.freshness_policy is not None
        assert node.check_keys


def test_every_acting_job_runs_in_process_and_the_streams_are_never_retried() -> None:
    """A multiprocess step costs five seconds of a margin call;
    a retry would restart a stream somebody stopped.
    """
    repository = definitions.get_repository_def()
    assert "dagster/max_retries" not in repository.get_job("streams").tags
    assert repository.get_job("streams").executor_def.name == "in_process"
    for job in ("enforcement", "ladder_timers", "liquidation", "firm_alert", "outbox_relay"):
        assert repository.get_job(job).executor_def.name == "in_process"
        assert repository.get_job(job).tags["dagster/max_retries"] == "3"


def test_what_the_platform_cannot_do_without_runs_from_the_start_and_what_only_costs_does_not() -> None:
    """A table that is never compacted is a file a micro-batch;
    the table of schedules in docs/concepts/orchestration.md says the same.
    """
    repository = definitions.get_repository_def()
    on = {s.name for s in repository.schedule_defs if s.default_status is dg.DefaultScheduleStatus.RUNNING}
    page = (ROOT / "docs" / "concepts" / "orchestration.md").read_text(encoding="utf-8")
    rows = {
        line.split("`")[1]: line.split("|")[3].strip() for line in page.splitlines() if line.startswith("| `")
    }
    for schedule in repository.schedule_defs:
        assert rows[schedule.name].startswith("on" if schedule.name in on else "off"), schedule.name
    assert "table_maintenance_schedule" in on
    off = {s.name for s in repository.sensor_defs if s.default_status is not dg.DefaultSensorStatus.RUNNING}
    assert off == {"reports"}


def test_the_stock_launcher_and_postgres_are_a_choice_of_dagster_yaml(tmp_path: Path) -> None:
    dagster_home.prepare(tmp_path, "postgresql://margin@127.0.0.1/dagster", launcher="default")
    chosen = yaml.safe_load((tmp_path / "dagster.yaml").read_text(encoding="utf-8"))
    assert "run_launcher" not in chosen
    assert chosen["storage"]["postgres"]["postgres_url"] == "postgresql+psycopg2://margin@127.0.0.1/dagster"
    assert chosen["nux"] == {"enabled": False} == chosen["telemetry"]
    dagster_home.prepare(tmp_path, launcher="default")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_launcher, dg.DefaultRunLauncher)


if __name__ == "__main__":
    NAMES.write_text(yaml.safe_dump(names(), sort_keys=False), encoding="utf-8")
