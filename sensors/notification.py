"""margin.calls.v1, restrictions.v1 and liquidation.orders.v1: the customer is notified.

One sensor a topic, each with its cursor.
"""

import time
from functools import partial

import dagster as dg

from jobs.notification import notification_job, notification_retry_job
from margin_platform.contracts.messages import (
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    RESTRICTIONS,
    BadEvent,
    decode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.notification.message import SUBJECTS
from margin_platform.notification.states import next_due
from margin_platform.store.progress import Consumer
from margin_platform.trading_time.new_york import local_time
from resources.decisions import NOTHING_DECIDED, DecisionsResource
from resources.kafka import KafkaResource
from sensors.topic_ticks import earlier_runs
from sensors.topic_ticks.topic_sensor import tick
from sensors.topic_ticks.topic_undone import by_progress


def concerns_the_customer(record: Record) -> bool:
    """Report whether a notice is due. A record that cannot be read needs a run too, which sends it to
    dead_letter.v1.
    """
    try:
        return (record.topic, decode(record.topic, record.value).get("action", "NEW")) in SUBJECTS
    except BadEvent:
        return True


def _on(topic: str, name: str) -> dg.SensorDefinition:
    @dg.sensor(
        job=notification_job,
        name=name,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"{topic}: a run where an event concerns the customer, who then gets a notice.",
    )
    def notification(
        context: dg.SensorEvaluationContext, kafka: KafkaResource, decisions: DecisionsResource
    ) -> dg.SensorResult | dg.SkipReason:
        done = by_progress(decisions, Consumer.NOTIFICATION)
        decided = partial(decisions.decided, Consumer.NOTIFICATION, topic)
        wanted = (notification_job.name, "notify", concerns_the_customer)
        return tick(context, kafka, topic, *wanted, is_decided=done, decided=decided)

    return notification


@dg.sensor(
    job=notification_retry_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The store's notices: a run when a further attempt of one is due.",
)
def notification_retry(
    context: dg.SensorEvaluationContext, decisions: DecisionsResource
) -> dg.SensorResult | dg.SkipReason:
    """Start a run when a further attempt is due, one a minute for the same time: a run that failed for good
    is followed by another.
    """
    if (busy := earlier_runs.working(context.instance, notification_retry_job.name)) is not None:
        return dg.SkipReason(f"run {busy} still works")
    try:
        with decisions.reader() as store:
            due = next_due(store)
    except NOTHING_DECIDED as none:
        return dg.SkipReason(str(none))
    now = time.time_ns() // 1_000_000
    if due is None or due > now:
        return dg.SkipReason(
            "no notice waits" if due is None else f"the next attempt is due at {local_time(due)}"
        )
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"notification:{due}:{now // 60_000}")])


SENSORS = [
    _on(MARGIN_CALLS, "notification_of_calls"),
    _on(RESTRICTIONS, "notification_of_restrictions"),
    _on(LIQUIDATION_ORDERS, "notification_of_orders"),
    notification_retry,
]
