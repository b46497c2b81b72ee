"""A person stopped the streams: no figure moves until the job is started by hand, so the firm hears of it."""

import dagster as dg

from jobs.streams import streams_job
from resources.decisions import DecisionsResource
from resources.notifier import NotifierResource
from sensors.alarms.operations_alarm import alarm, run_page


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    monitored_jobs=[streams_job],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Canceled runs of the streams: a notice to the firm's address, one a run.",
)
def stopped_streams(
    context: dg.RunStatusSensorContext, decisions: DecisionsResource, notifier: NotifierResource
) -> None:
    """Record one notice for a run of the streams that was stopped."""
    run = context.dagster_run
    alarm(
        decisions,
        notifier,
        rung="STREAMS_STOPPED",
        episode=run.run_id,
        sentence=(
            f"The streams were stopped (run {run.run_id}). No account's figures move until the job streams "
            "is started by hand."
        ),
        path=run_page(run),
    )


SENSORS = [stopped_streams]
