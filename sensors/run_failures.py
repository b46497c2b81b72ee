"""A run of an acting job that failed for good:
what it was working on, in the log people watch and as an asset observation.
"""

import dagster as dg

from assets.keys import topic_key
from margin_platform.contracts.messages import TOPICS


def will_be_repeated(tags: dict[str, str]) -> bool:
    """Report whether Dagster starts this failed run again by itself."""
    return tags.get("dagster/will_retry", "false").lower() == "true"


def sentence(job: str, run_id: str, tags: dict[str, str], message: str) -> str:
    """State what failed and which events wait for it."""
    where = (
        f" on {tags['kafka/topic']}[{tags['kafka/partition']}] {tags['kafka/offsets']}"
        if "kafka/topic" in tags
        else ""
    )
    return f"{job} failed{where}; run {run_id} can be executed again as it is: {message}"


@dg.run_failure_sensor(
    monitor_all_code_locations=False,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Failed runs that no retry will repair: what they worked on, in the log and on the topic.",
)
def run_failures(context: dg.RunFailureSensorContext) -> None:
    """Report failures that no retry will repair, against the topic whose events are left undone."""
    run = context.dagster_run
    if will_be_repeated(dict(run.tags)):
        return
    text = sentence(run.job_name, run.run_id, dict(run.tags), context.failure_event.message or "no message")
    context.log.error(text)
    if (topic := run.tags.get("kafka/topic")) in TOPICS:
        observation = dg.AssetObservation(
            topic_key(str(topic)), metadata={"unprocessed": text, "run_id": run.run_id}
        )
        context.instance.report_runless_asset_event(observation)


SENSORS = [run_failures]
