"""Declarative automation: a report is made when its own condition says so (see the report's asset)."""

import dagster as dg

from assets.end_of_day_margin import end_of_day_margin
from margin_platform.orchestration.run_tags import BATCH_TAGS

reports = dg.AutomationConditionSensorDefinition(
    "reports",
    target=dg.AssetSelection.assets(end_of_day_margin),
    run_tags=BATCH_TAGS,  # in the queue, behind other batch work
    default_status=dg.DefaultSensorStatus.STOPPED,  # it starts a second Spark beside the streams
    description="Automation of the reports: end_of_day_margin at 00:10, New York, for the day before.",
)

SENSORS = [reports]
