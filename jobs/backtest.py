"""Backtests on a schedule: yesterday's session every night, every crisis once a week.

Batch lane, so the streams never wait for them.
"""

from collections.abc import Iterator

import dagster as dg

from assets.backtest_reports import PARTITIONS, backtest_reports, session_backtest
from margin_platform.orchestration.run_tags import BATCH_TAGS

TAGS = {**BATCH_TAGS, "margin/concern": "backtest"}

crises_backtest = dg.define_asset_job(
    "crises_backtest",
    selection=[backtest_reports],
    tags=TAGS,
    executor_def=dg.in_process_executor,
    description="One crisis of the bundled history; a backfill over all partitions runs them all.",
)
nightly_backtest = dg.define_asset_job(
    "nightly_backtest",
    selection=[session_backtest],
    tags=TAGS,
    executor_def=dg.in_process_executor,
    description="Yesterday's session through the kernel and ladder again.",
)


@dg.schedule(
    job=crises_backtest,
    cron_schedule="0 2 * * 6",
    execution_timezone="America/New_York",
    description="On Saturday at 02:00, New York: every crisis of the history again, a run each.",
)
def weekly_crises(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    """Request one run a crisis, on Saturday morning."""
    day = context.scheduled_execution_time.strftime("%Y-%m-%d")
    for key in PARTITIONS.get_partition_keys():
        yield dg.RunRequest(run_key=f"{day}:{key}", partition_key=key, tags=TAGS)


@dg.schedule(
    job=nightly_backtest,
    cron_schedule="30 1 * * 2-6",
    execution_timezone="America/New_York",
    description="At 01:30 after each session, New York: that session replayed.",
)
def nightly_session(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request a run after each session, in the night that follows it; the session is named in the run's
    config."""
    from margin_platform.backtest.session import latest_before

    day = latest_before(context.scheduled_execution_time).isoformat()
    return dg.RunRequest(
        run_key=day, run_config={"ops": {"session_backtest": {"config": {"day": day}}}}, tags=TAGS
    )


JOBS = [crises_backtest, nightly_backtest]
SCHEDULES = [weekly_crises, nightly_session]
