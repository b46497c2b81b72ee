"""Declarative automation of the reports: what Dagster's own evaluation asks for, at set times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from assets.end_of_day_margin import end_of_day_margin
from assets.keys import MARGIN_SNAPSHOTS
from margin_platform.definitions import definitions
from margin_platform.orchestration.run_tags import BATCH_TAGS
from sensors.end_of_day_margin import reports

NEW_YORK = ZoneInfo("America/New_York")


class Evaluations:
    """One look of the daemon after the other, with what the last one left."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._last: dg.EvaluateAutomationConditionsResult | None = None

    def asked(self, day: int, clock: str) -> set[str]:
        """The partitions asked for on a day of March 2020 at a time in New York."""
        at = dt.datetime.combine(dt.date(2020, 3, day), dt.time.fromisoformat(clock), NEW_YORK)
        self._last = dg.evaluate_automation_conditions(
            defs=definitions,
            instance=self.instance,
            asset_selection=dg.AssetSelection.assets(end_of_day_margin),
            evaluation_time=at,
            cursor=self._last.cursor if self._last else None,
        )
        found = self._last.get_requested_partitions(end_of_day_margin.key)
        return {str(partition) for partition in found}


@pytest.fixture
def evaluations() -> Iterator[Evaluations]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Evaluations(instance)


def snapshots(instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization(MARGIN_SNAPSHOTS))


def test_the_day_before_is_asked_for_once_after_midnight(evaluations: Evaluations) -> None:
    snapshots(evaluations.instance)
    assert evaluations.asked(12, "23:50") == set()
    assert evaluations.asked(13, "00:05") == set()
    assert evaluations.asked(13, "00:11") == {"2020-03-12"}
    assert evaluations.asked(13, "00:20") == set()
    assert evaluations.asked(13, "16:00") == set()
    assert evaluations.asked(14, "00:10") == {"2020-03-13"}


def test_a_day_without_a_table_of_snapshots_waits_for_the_first(evaluations: Evaluations) -> None:
    assert evaluations.asked(12, "23:50") == set()
    assert evaluations.asked(13, "00:11") == set()
    snapshots(evaluations.instance)
    assert evaluations.asked(13, "09:31") == {"2020-03-12"}


def test_its_runs_are_batch_work_and_the_sensor_is_off_until_somebody_wants_the_second_spark() -> None:
    assert reports.run_tags == BATCH_TAGS
    assert reports.default_status is dg.DefaultSensorStatus.STOPPED
    assert end_of_day_margin.automation_conditions_by_key.keys() == {end_of_day_margin.key}
