"""The never-ending job that runs the streams, and the checks of their tables."""

from __future__ import annotations

import dagster as dg

from assets import topic_checks
from assets.streams import CHECKS, streams
from margin_platform.orchestration.run_tags import BATCH_TAGS, ENDS_WITH_LAUNCHER_TAG

# No automatic retry: the keep-alive sensor starts the next run, and a run stopped by a person must stay
# stopped.
streams_job = dg.define_asset_job(
    "streams",
    selection=dg.AssetSelection.assets(streams).without_checks(),
    executor_def=dg.in_process_executor,
    description=(
        "Spark Structured Streaming: margins, volatilities, the firm and their tables, until it is stopped "
        "or rolls over."
    ),
    tags={ENDS_WITH_LAUNCHER_TAG: "true"},
)
table_checks_job = dg.define_asset_job(
    "table_checks",
    selection=dg.AssetSelection.checks(*CHECKS, *topic_checks.CHECKS),
    executor_def=dg.in_process_executor,
    description="What must hold in the three tables and on the decisions' topics now.",
    tags=BATCH_TAGS,
)
table_checks_schedule = dg.ScheduleDefinition(
    job=table_checks_job,
    cron_schedule="*/10 * * * *",
    execution_timezone="America/New_York",
    description="Every ten minutes: what must hold in the tables and on the decisions' topics.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

JOBS = [streams_job, table_checks_job]
SCHEDULES = [table_checks_schedule]
