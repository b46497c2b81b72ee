"""margin.status.v1: an account changed band, so the ladder decides."""

from functools import partial

import dagster as dg

from jobs.enforcement import enforcement_job
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.store.progress import Consumer
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors.topic_ticks.topic_sensor import tick
from sensors.topic_ticks.topic_undone import by_progress


@dg.sensor(
    job=enforcement_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="margin.status.v1: an account changed its band, so the ladder decides.",
)
def enforcement(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, decisions: DecisionsResource
) -> dg.SensorResult | dg.SkipReason:
    """Act on every status event."""
    done = by_progress(decisions, Consumer.ENFORCEMENT)
    decided = partial(decisions.decided, Consumer.ENFORCEMENT, MARGIN_STATUS)
    job = enforcement_job.name
    return tick(context, kafka, MARGIN_STATUS, job, "enforce", is_decided=done, decided=decided)


SENSORS = [enforcement]
