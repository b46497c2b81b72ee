"""Messages committed and not sent: the run that made them died in between, or the broker was away."""

import dagster as dg

from jobs.outbox_relay import outbox_relay_job
from margin_platform.contracts.messages import MARGIN_CALLS
from margin_platform.store.outbox import oldest_unsent
from resources.decisions import NOTHING_DECIDED, DecisionsResource
from resources.kafka import UNAVAILABLE, KafkaResource


def still_waiting(cursor: str | None, oldest: int | None) -> bool:
    """Report whether the oldest message of the outbox was already its oldest at the last look: its own run
    had time to send it.
    """
    return oldest is not None and cursor == str(oldest)


@dg.sensor(
    job=outbox_relay_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The store's outbox: a run when a message was its oldest at two looks in a row.",
)
def outbox_relay(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, decisions: DecisionsResource
) -> dg.SensorResult | dg.SkipReason:
    """Publish leftovers when a broker answers; the oldest message left is the cursor."""
    try:
        with decisions.reader() as store:
            oldest = oldest_unsent(store)
    except NOTHING_DECIDED as none:
        return dg.SkipReason(str(none))
    if not still_waiting(context.cursor, oldest):
        reason = "nothing is left to send" if oldest is None else f"message {oldest} may still be on its way"
        return dg.SensorResult(skip_reason=reason, cursor="" if oldest is None else str(oldest))
    try:
        with kafka.bus() as bus:
            bus.end_offsets(MARGIN_CALLS)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor="")


SENSORS = [outbox_relay]
