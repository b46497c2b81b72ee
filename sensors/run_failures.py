"""A run of an acting job that failed for good:
what it was working on, in the log people watch, as an asset observation, and as a notice to the firm.
"""

import dagster as dg

from assets.keys import topic_key
from margin_platform.contracts.messages import TOPICS
from margin_platform.orchestration.run_tags import SPAN_TAG, TOPIC_TAG
from resources.decisions import DecisionsResource
from resources.notifier import NotifierResource
from sensors.alarms.failed_checks import failed_checks
from sensors.alarms.operations_alarm import alarm, run_page


def will_be_repeated(tags: dict[str, str]) -> bool:
    """Report whether Dagster starts this failed run again by itself."""
    return tags.get("dagster/will_retry", "false").lower() == "true"


def sentence(job: str, run_id: str, tags: dict[str, str], message: str) -> str:
    """State what failed and which events wait for it."""
    where = f" on {tags[SPAN_TAG]}" if SPAN_TAG in tags else ""
    return f"{job} failed{where}; run {run_id} can be executed again as it is: {message}"


@dg.run_failure_sensor(
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description=(
        "Failed runs that no retry will repair: in the log, on the topic, and once to the firm's address."
    ),
)
def run_failures(
    context: dg.RunFailureSensorContext, decisions: DecisionsResource, notifier: NotifierResource
) -> None:
    """Report failures that no retry will repair, to the firm and against the topic whose events are left."""
    run = context.dagster_run
    if will_be_repeated(dict(run.tags)):
        return
    text = sentence(run.job_name, run.run_id, dict(run.tags), context.failure_event.message or "no message")
    context.log.error(text)
    if (topic := run.tags.get(TOPIC_TAG)) in TOPICS:
        observation = dg.AssetObservation(
            topic_key(str(topic)), metadata={"unprocessed": text, "run_id": run.run_id}
        )
        context.instance.report_runless_asset_event(observation)
    alarm(
        decisions,
        notifier,
        rung="RUN_FAILED",
        # a span that is asked for again and fails again is the same failure
        episode=f"{run.job_name}:{run.tags.get(SPAN_TAG) or run.root_run_id or run.run_id}",
        sentence=text,
        path=run_page(run),
    )


SENSORS = [run_failures, failed_checks]
