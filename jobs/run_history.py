"""Keeps Dagster's history small: thousands of acting runs a day leave their events in its storage forever
otherwise.

What they decided stays: the store, audit.v1 and the topics know nothing of it. Only runs that succeeded go;
one that failed, or was stopped, names the offsets that may still have to be run again.
"""

import datetime as dt

import dagster as dg
from pydantic import Field

from jobs import enforcement, firm_alert, ladder_timers, liquidation, notification, outbox_relay
from margin_platform.orchestration.run_tags import BATCH_TAGS

ACTING = tuple(
    job.name
    for module in (enforcement, firm_alert, ladder_timers, liquidation, notification, outbox_relay)
    for job in module.JOBS
)
_AT_ONCE = 500


class HistoryConfig(dg.Config):
    """How long runs are kept."""

    keep_days: float = Field(
        default=30.0, ge=0.0, description="days that a successful run of an acting job is kept"
    )


@dg.op
def prune(context: dg.OpExecutionContext, config: HistoryConfig) -> None:
    """Delete the acting jobs' successful runs older than that, but never the newest of a job."""
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=config.keep_days)
    for job in ACTING:
        context.log.info(f"{job}: {delete_runs(context.instance, job, before)} runs deleted")


def delete_runs(instance: dg.DagsterInstance, job: str, before: dt.datetime) -> int:
    """Delete a job's successful runs made before a moment, except the newest of all; return how many."""
    kept = {run.run_id for run in instance.get_runs(dg.RunsFilter(job_name=job), limit=1)}
    old = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS], created_before=before)
    deleted = 0
    while ids := [run.run_id for run in instance.get_runs(old, limit=_AT_ONCE) if run.run_id not in kept]:
        for run_id in ids:
            instance.delete_run(run_id)
        deleted += len(ids)
    return deleted


@dg.job(name="run_history", executor_def=dg.in_process_executor, tags=BATCH_TAGS)
def run_history_job() -> None:
    """Delete old successful runs of the acting jobs from Dagster's storage."""
    prune()


JOBS = [run_history_job]
SCHEDULES = [
    dg.ScheduleDefinition(
        job=run_history_job,
        cron_schedule="40 3 * * *",
        execution_timezone="America/New_York",
        description="Each night at 03:40, New York: deletes old successful runs of the acting jobs.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
]
