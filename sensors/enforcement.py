"""margin.status.v1: an account changed band, so the ladder decides."""

import dagster as dg

from jobs.enforcement import enforcement_job
from margin_platform.contracts.messages import MARGIN_STATUS
from resources.kafka import KafkaResource
from sensors.topic_sensor import tick


@dg.sensor(
    job=enforcement_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="margin.status.v1: an account changed its band, so the ladder decides.",
)
def enforcement(context: dg.SensorEvaluationContext, kafka: KafkaResource) -> dg.SensorResult | dg.SkipReason:
    """Act on every status event."""
    return tick(context, kafka, MARGIN_STATUS, enforcement_job.name, "enforce")


SENSORS = [enforcement]
