"""margin.calls.v1 with action LIQUIDATE: the ladder asked for orders."""

from functools import partial

import dagster as dg

from jobs.liquidation import liquidation_job
from margin_platform.contracts.events.vocabulary import asks_for_orders
from margin_platform.contracts.messages import MARGIN_CALLS, BadEvent, decode
from margin_platform.contracts.offsets import Record
from margin_platform.store.progress import Consumer
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from sensors.topic_ticks.topic_sensor import tick
from sensors.topic_ticks.topic_undone import by_progress


def is_request(record: Record) -> bool:
    """Report whether the record asks for orders. A record that cannot be read needs a run too, which sends it
    to dead_letter.v1.
    """
    try:
        return asks_for_orders(decode(MARGIN_CALLS, record.value))
    except BadEvent:
        return True


@dg.sensor(
    job=liquidation_job,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="margin.calls.v1: a run where an event asks for orders (action LIQUIDATE).",
)
def liquidation(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, decisions: DecisionsResource
) -> dg.SensorResult | dg.SkipReason:
    """Start a run for calls that request orders; other calls only move the cursor."""
    done = by_progress(decisions, Consumer.LIQUIDATION)
    decided = partial(decisions.decided, Consumer.LIQUIDATION, MARGIN_CALLS)
    wanted = (liquidation_job.name, "liquidate", is_request)
    return tick(context, kafka, MARGIN_CALLS, *wanted, is_decided=done, decided=decided)


SENSORS = [liquidation]
