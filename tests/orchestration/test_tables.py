"""The checks of the three tables, each on a table that keeps the rule and on one row that breaks it;
real Delta tables.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import firm_exposure, margin_snapshots, volatility_tables
from assets.end_of_day_margin import close_of
from jobs.table_maintenance import table_maintenance_job
from margin_platform.contracts.messages import PRICES
from margin_platform.kafka.bus import Bus
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.tables import MissingTable, TablesResource
from spark.tables.schemas import FIRM_EXPOSURE_COLUMNS, MARGIN_SNAPSHOTS_COLUMNS, VOLATILITY_COLUMNS
from tests.support.table_rows import append

SNAPSHOT = {
    "account_id": "A1",
    "stale": False,
    "equity": 5000.0,
    "requirement": 3000.0,
    "excess": 2000.0,
    "maintenance_req": 3000.0,
    "base_requirement": 2500.0,
    "concentration_addon": 300.0,
    "volatility_addon": 150.0,
    "htb_addon": 50.0,
    "cap_adjustment": 0.0,
    "calc_timestamp": 1_582_232_400_000,
    "batch_id": 1,  # 2500 + 300 + 150 + 50 + 0 = 3000
}
STALE = {**SNAPSHOT, "account_id": "A2", "stale": True, "equity": None, "requirement": None, "excess": None}
SIGMA = {"symbol": "AAPL", "volatility_annual": 0.3, "timestamp": 1, "batch_id": 1}
NO_SIGMA = {"volatility_annual": float("nan"), "timestamp": 2}
FIRM = {
    "scenario": "-0.06",
    "firm_loss": 0.0,
    "firm_beta_weighted_exposure": 1.0,
    "timestamp": 1,
    "batch_id": 1,
}
SCHEMAS = {
    "margin_snapshots": MARGIN_SNAPSHOTS_COLUMNS,
    "volatility": VOLATILITY_COLUMNS,
    "firm_exposure": FIRM_EXPOSURE_COLUMNS,
}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., TablesResource]:
    def write(table: str, *rows: dict[str, Any]) -> TablesResource:
        append(tmp_path, table, SCHEMAS[table], rows)
        return TablesResource(folder=str(tmp_path))

    return write


def evaluated(
    checks: list[dg.AssetChecksDefinition],
    tables: TablesResource,
    instance: dg.DagsterInstance,
    kafka: KafkaResource | None = None,
) -> list[dg.AssetCheckEvaluation]:
    """Runs the checks as Dagster does, in a run of this instance."""
    resources = {
        "tables": tables,
        "kafka": kafka or KafkaResource(bootstrap_servers="127.0.0.1:1", connect_seconds=0.2),
    }
    result = dg.materialize(
        checks, resources=resources, instance=instance, selection=dg.AssetSelection.checks(*checks)
    )
    return result.get_asset_check_evaluations()


def verdicts(
    checks: list[dg.AssetChecksDefinition], tables: TablesResource, kafka: KafkaResource | None = None
) -> dict[str, bool]:
    """Which checks pass the first time they are run."""
    with dg.DagsterInstance.ephemeral() as instance:
        return {e.check_name: e.passed for e in evaluated(checks, tables, instance, kafka)}


RULES: list[tuple[list[dg.AssetChecksDefinition], str, dict[str, Any], dict[str, Any], str]] = [
    (
        margin_snapshots.CHECKS[:-1],
        "margin_snapshots",
        SNAPSHOT,
        {"equity": None},
        "valued_accounts_have_every_figure",
    ),
    (
        margin_snapshots.CHECKS[:-1],
        "margin_snapshots",
        SNAPSHOT,
        {"requirement": -0.01},
        "requirements_are_not_negative",
    ),
    (
        margin_snapshots.CHECKS[:-1],
        "margin_snapshots",
        SNAPSHOT,
        {"htb_addon": 50.06},
        "components_sum_to_the_requirement",
    ),
    (volatility_tables.CHECKS, "volatility", SIGMA, NO_SIGMA, "volatilities_are_numbers_not_negative"),
    (volatility_tables.CHECKS, "volatility", SIGMA, {}, "each_symbol_stands_once_per_time"),
    (
        firm_exposure.CHECKS[:-1],
        "firm_exposure",
        FIRM,
        {"firm_loss": -1.0},
        "firm_losses_are_known_and_not_negative",
    ),
]


@pytest.mark.parametrize(("checks", "table", "good", "change", "name"), RULES, ids=[r[4] for r in RULES])
def test_a_single_row_that_breaks_the_rule_fails_its_check_and_no_other(
    written: Callable[..., TablesResource],
    checks: list[dg.AssetChecksDefinition],
    table: str,
    good: dict[str, Any],
    change: dict[str, Any],
    name: str,
) -> None:
    assert all(verdicts(checks, written(table, good)).values())
    assert [
        n for n, passed in verdicts(checks, written(table, {**good, **change})).items() if not passed
    ] == [name]


def test_an_account_that_cannot_be_valued_is_no_defect_of_the_table(
    written: Callable[..., TablesResource],
) -> None:
    assert all(verdicts(margin_snapshots.CHECKS[:-1], written("margin_snapshots", SNAPSHOT, STALE)).values())


def test_a_missing_table_passes_no_check(tmp_path: Path) -> None:
    assert not any(verdicts(margin_snapshots.CHECKS, TablesResource(folder=str(tmp_path))).values())
    with pytest.raises(MissingTable, match="margin_snapshots"):
        TablesResource(folder=str(tmp_path)).open("margin_snapshots")


def test_a_check_reads_on_from_where_it_last_passed_and_stays_failed_until_the_row_is_gone(
    written: Callable[..., TablesResource], tmp_path: Path
) -> None:
    """The tables grow without end, and the checks run every ten minutes:
    what once passed is not read again.
    """
    check = firm_exposure.CHECKS[:1]
    with dg.DagsterInstance.ephemeral() as instance:

        def look() -> tuple[bool, int]:
            (found,) = evaluated(check, TablesResource(folder=str(tmp_path)), instance)
            return found.passed, found.metadata["rows"].value

        for batch in range(1, 4):
            written("firm_exposure", {**FIRM, "batch_id": batch})
        assert look() == (True, 3)
        assert look() == (True, 1)  # the newest batch again: more of its rows may have come
        written("firm_exposure", {**FIRM, "batch_id": 4, "firm_loss": -1.0})
        assert look() == (False, 2)
        written("firm_exposure", {**FIRM, "batch_id": 5})
        assert look() == (False, 3)
        TablesResource(folder=str(tmp_path)).open("firm_exposure").delete("firm_loss < 0")
        assert look() == (True, 2)
        assert look() == (True, 1)
        shutil.rmtree(tmp_path / "firm_exposure")
        written("firm_exposure", {**FIRM, "firm_loss": -1.0})
        assert look() == (False, 1)  # another table under the same name is read from its beginning


@pytest.mark.kafka
def test_a_table_an_hour_behind_the_event_clock_is_late(
    bus: Bus, written: Callable[..., TablesResource]
) -> None:
    """The clock is the newest price: the snapshot's time plus 3,600 s is in time, one millisecond more is
    late.
    """
    tables, kafka = written("margin_snapshots", SNAPSHOT), KafkaResource(bootstrap_servers=bus.bootstrap)
    freshness = margin_snapshots.CHECKS[-1:]
    outcomes = []
    for late_by in (0, 1):
        bus.produce(
            PRICES,
            {"symbol": "SPY", "price": 300.0, "timestamp": SNAPSHOT["calc_timestamp"] + 3_600_000 + late_by},
        )
        bus.flush()
        outcomes.append(verdicts(freshness, tables, kafka)["keeps_up_with_the_event_clock"])
    assert outcomes == [True, False]


def test_maintenance_merges_the_files_of_many_batches_and_keeps_every_row(
    written: Callable[..., TablesResource], tmp_path: Path
) -> None:
    for batch in range(5):
        tables = written("margin_snapshots", {**SNAPSHOT, "batch_id": batch})
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {
            "tables": tables,
            "decisions": DecisionsResource(store_url=f"sqlite:///{tmp_path / 'store.db'}"),
        }
        assert table_maintenance_job.execute_in_process(resources=resources, instance=instance).success
    assert not (tmp_path / "store.db").exists()  # it trims the store of decisions, and creates none
    assert len(tables.open("margin_snapshots").file_uris()) == 1
    assert len(tables.frame("margin_snapshots")) == 5


def test_the_close_follows_new_york_through_the_change_of_clocks() -> None:
    """16:00 in New York is 21:00 UTC in winter and 20:00 UTC in summer:
    23 hours from 2020-03-07 to 2020-03-08.
    """
    assert close_of("2020-03-08") - close_of("2020-03-07") == 23 * 3600 * 1000
