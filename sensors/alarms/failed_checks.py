"""A check that failed, whatever job ran it: the firm hears of it once a day while it goes on failing."""

import dagster as dg

from margin_platform.trading_time.new_york import date_of
from resources.decisions import DecisionsResource
from resources.notifier import NotifierResource
from sensors.alarms.operations_alarm import alarm


def failed(instance: dg.DagsterInstance, run_id: str) -> list[dg.AssetCheckEvaluation]:
    """Return the evaluations of a run that did not pass."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    said = [entry.dagster_event.asset_check_evaluation_data for entry in entries if entry.dagster_event]
    return [evaluation for evaluation in said if not evaluation.passed]


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Runs of any job: a notice to the firm's address for a failed check, one a day.",
)
def failed_checks(
    context: dg.RunStatusSensorContext, decisions: DecisionsResource, notifier: NotifierResource
) -> None:
    """Record a notice for each check that failed, one a New York day."""
    today = date_of(notifier.now()).isoformat()
    for check in failed(context.instance, context.dagster_run.run_id):
        asset, shown = check.asset_key.to_user_string(), {k: v.value for k, v in check.metadata.items()}
        alarm(
            decisions,
            notifier,
            rung="CHECK_FAILED",
            episode=f"{asset}:{check.check_name}:{today}",
            sentence=f"The check {check.check_name} of {asset} failed: {shown}.",
            path=f"/assets/{asset}?view=checks",
        )


SENSORS = [failed_checks]
