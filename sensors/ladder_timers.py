"""The event clock: starts a run when a timer of the ladder has fallen due, although no price or fill
touched the account.
"""

import time

import dagster as dg

from jobs.ladder_timers import ladder_timers_job
from margin_platform.enforcement.timers import next_timer
from margin_platform.kafka.event_clock import clock
from margin_platform.trading_time.new_york import local_time
from resources.decisions import NOTHING_DECIDED, DecisionsResource
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors.topic_ticks import earlier_runs


def reason_to_wait(now_ms: int | None, fired_at: int, next_due_ms: int | None) -> str | None:
    """Explain why no timer fires now, or return None where one does.

    fired_at: the clock of the last run; times are event time.
    """
    if now_ms is None:
        return "no price yet: the event clock has not started"
    if now_ms <= fired_at:
        return f"the event clock stands at {local_time(now_ms)}"
    if next_due_ms is None:
        return "no timer is set"
    return (
        None
        if next_due_ms <= now_ms
        else f"the next timer is due at {local_time(next_due_ms)}, the clock stands at {local_time(now_ms)}"
    )


@dg.sensor(
    job=ladder_timers_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="The event clock: a run when a deadline of a call has come, with or without a price.",
)
def ladder_timers(
    context: dg.SensorEvaluationContext, kafka: KafkaResource, decisions: DecisionsResource
) -> dg.SensorResult | dg.SkipReason:
    """Request one run per reading of the clock at which something is due, one at a time."""
    if (busy := earlier_runs.working(context.instance, ladder_timers_job.name)) is not None:
        return dg.SkipReason(f"run {busy} still works")
    try:
        with kafka.bus() as bus:
            now_ms = clock(bus, time.time_ns() // 1_000_000)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    try:
        with decisions.reader() as store:
            wait = reason_to_wait(now_ms, int(context.cursor or 0), next_timer(store))
    except NOTHING_DECIDED as none:
        return dg.SkipReason(str(none))
    if wait is not None:
        return dg.SkipReason(wait)
    assert now_ms is not None
    request = dg.RunRequest(
        run_key=f"timers:{now_ms}",
        run_config={"ops": {"fire_timers": {"config": {"now_ms": now_ms}}}},
        tags={"margin/event_time": f"{local_time(now_ms)}"},
    )
    return dg.SensorResult(run_requests=[request], cursor=str(now_ms))


SENSORS = [ladder_timers]
