"""What falls due on the event clock: a call past due, thirty minutes to close-only, with or without a
price arriving.
"""

import time

import dagster as dg
from pydantic import Field

from jobs.span_runs.run_report import RunReport
from jobs.span_runs.staying import clock_readings
from jobs.span_runs.topic_span import RETRIES, reported
from margin_platform.kafka.event_clock import clock
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


class ClockConfig(dg.Config):
    """The time to decide at. It is config, so that the run repeated decides the same."""

    now_ms: int | None = Field(
        default=None,
        description="event time in epoch milliseconds UTC; empty takes the event clock when the run begins",
    )


@dg.op
def fire_timers(
    context: dg.OpExecutionContext, config: ClockConfig, kafka: KafkaResource, decisions: DecisionsResource
) -> None:
    """Decide the status events that are on their topic, then fire every timer due at `now_ms`; the same for
    what falls due while the run stays.
    """
    from margin_platform.enforcement.acting import fire_due  # see jobs/enforcement.py
    from margin_platform.enforcement.enforcer import Enforcer

    with RunReport(context) as said, kafka.bus() as bus, decisions.store() as store:
        enforcer = Enforcer(store, decisions.policy)
        now_ms = clock(bus, time.time_ns() // 1_000_000) if config.now_ms is None else config.now_ms
        if now_ms is None:
            raise dg.Failure("now_ms: empty, and the event clock has not started: there is no price yet")
        for shown in clock_readings(context, kafka, bus, store, now_ms):
            messages = fire_due(bus, enforcer, shown, context.run_id, reported(context))
            said.add(messages, cause=f"event clock {shown}")


@dg.job(name="ladder_timers", executor_def=dg.in_process_executor, tags=RETRIES)
def ladder_timers_job() -> None:
    """Fire timers of the ladder that are due; write margin.calls.v1, restrictions.v1 and audit.v1."""
    fire_timers()


JOBS = [ladder_timers_job]
