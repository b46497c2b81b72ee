"""Keeps the tables small: merges the many small files of micro-batches, drops files no version needs, and
closes the day.
"""

import time

import dagster as dg

from assets.end_of_day_margin import end_of_day_margin
from margin_platform.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from margin_platform.orchestration.run_tags import BATCH_TAGS
from margin_platform.recordkeeping.trimming import trim
from margin_platform.settings import STREAM_TABLES
from resources.decisions import NOTHING_DECIDED, DecisionsResource
from resources.tables import MissingTable, TablesResource

KEEP_HOURS = 168


@dg.op
def compact(context: dg.OpExecutionContext, tables: TablesResource) -> None:
    """Compact each table; log a table that is not written yet, and skip it."""
    for name in STREAM_TABLES:
        try:
            table = tables.open(name)
        except MissingTable as error:
            context.log.info(str(error))
            continue
        merged = table.optimize.compact()
        removed = table.vacuum(retention_hours=KEEP_HOURS, dry_run=False)
        context.log_event(
            dg.AssetObservation(
                name,
                metadata={
                    "files_merged": int(merged["numFilesRemoved"]),
                    "files_written": int(merged["numFilesAdded"]),
                    "files_deleted": len(removed),
                },
            )
        )


@dg.op
def trim_store(context: dg.OpExecutionContext, decisions: DecisionsResource) -> None:
    """Delete rows of the decision store that have done their work. A store that does not exist is not
    created.
    """
    try:
        with decisions.reader():
            pass
    except NOTHING_DECIDED as missing:
        context.log.info(str(missing))
        return
    with decisions.store() as store:
        removed = trim(store, time.time_ns() // 1_000_000, decisions.policy.records.retention_years)
    context.log.info(f"deleted from the store: {removed}")


@dg.job(name="table_maintenance", executor_def=dg.in_process_executor, tags=BATCH_TAGS)
def table_maintenance_job() -> None:
    """Compact and vacuum the streams' tables; delete finished rows of the decision store."""
    compact()
    trim_store()


end_of_day_job = dg.define_asset_job(
    "end_of_day",
    selection=dg.AssetSelection.assets(end_of_day_margin),
    executor_def=dg.in_process_executor,
    tags=BATCH_TAGS,
    description="One day of end_of_day_margin: each account's last snapshot before the close (batch Spark).",
)

JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [table_maintenance_job, end_of_day_job]
SCHEDULES = [
    dg.ScheduleDefinition(
        job=table_maintenance_job,
        cron_schedule="0 * * * *",
        execution_timezone="America/New_York",
        description="Every hour: merges the files of micro-batches, drops what no version needs.",
        # every micro-batch leaves a file: without it reads grow slower by the hour
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
]
