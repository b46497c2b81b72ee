"""What falls due on the event clock: a call past due, thirty minutes to close-only, with or without a
price arriving.
"""

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import dagster as dg
from pydantic import Field

from jobs.enforcement import enforcement_job
from jobs.span_runs.run_report import RunReport
from jobs.span_runs.staying import MAKES_ROOM_AFTER, unless_it_ends
from jobs.span_runs.topic_span import RETRIES, reported
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.enforcement.timers import next_timer
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.event_clock import clock
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource

_CLOCK_SECONDS, _LOOK_SECONDS = 1.0, 0.25
_LEFT_TO_ENFORCEMENT_SECONDS = 10.0


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
            _leave_to_enforcement(context, store, shown.ends)
            messages = fire_due(bus, enforcer, shown.now_ms, context.run_id, reported(context), shown.ends)
            said.add(messages, cause=f"event clock {shown.now_ms}")


class ClockReading(NamedTuple):
    """The event clock in epoch milliseconds, and the next offsets of margin.status.v1 when it was read."""

    now_ms: int
    ends: Mapping[int, int]


def clock_readings(
    context: dg.OpExecutionContext, kafka: KafkaResource, bus: Bus, store: Store, first: int
) -> Iterator[ClockReading]:
    """Yield the first reading of the clock, then each later one at which a timer is due.

    It ends when none has fallen due for the resource's `stay_seconds`, or when the next run may begin.
    """
    yield ClockReading(first, bus.end_offsets(MARGIN_STATUS))
    began = due_at = time.monotonic()
    while (now := time.monotonic()) < min(due_at + kafka.stay_seconds, began + MAKES_ROOM_AFTER):
        shown = unless_it_ends(context, lambda: _read_after_a_pause(bus))
        if shown is None:
            return
        due = next_timer(store)
        if due is not None and due <= shown.now_ms:
            yield shown
            due_at = now


def _read_after_a_pause(bus: Bus) -> ClockReading | None:
    time.sleep(_CLOCK_SECONDS)
    now_ms = clock(bus, time.time_ns() // 1_000_000)
    return None if now_ms is None else ClockReading(now_ms, bus.end_offsets(MARGIN_STATUS))


def _leave_to_enforcement(context: dg.OpExecutionContext, store: Store, ends: Mapping[int, int]) -> None:
    """Wait until status events up to these next offsets are decided, while a run of enforcement works and
    for a bounded time: two runs that decide the same ones do the work twice.
    """
    works = dg.RunsFilter(job_name=enforcement_job.name, statuses=[dg.DagsterRunStatus.STARTED])
    until = time.monotonic() + _LEFT_TO_ENFORCEMENT_SECONDS
    while (
        not _is_decided(store, ends)
        and time.monotonic() < until
        and context.instance.get_runs(works, limit=1)
    ):
        time.sleep(_LOOK_SECONDS)


def _is_decided(store: Store, ends: Mapping[int, int]) -> bool:
    with store.read() as connection:
        known = {p: progress.of(connection, Consumer.ENFORCEMENT, MARGIN_STATUS, p) for p in ends}
    reached = {p: 0 if at is None else at.next_offset for p, at in known.items()}
    return all(reached[p] >= end for p, end in ends.items())


@dg.job(name="ladder_timers", executor_def=dg.in_process_executor, tags=RETRIES)
def ladder_timers_job() -> None:
    """Fire timers of the ladder that are due; write margin.calls.v1, restrictions.v1 and audit.v1."""
    fire_timers()


JOBS = [ladder_timers_job]
