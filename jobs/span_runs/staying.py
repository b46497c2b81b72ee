"""A run that stays: after its span it goes on with what comes to the partition, until nothing does.

Starting a run costs a second of processor time, and Dagster's daemon looks at a sensor every five seconds
at best. In a falling market events would wait for both again and again. A run that stays takes them as they
come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import dagster as dg

from jobs.span_runs.topic_span import reported
from margin_platform.contracts.offsets import Record, Span
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration.run_tags import SPAN_TAG, TOPIC_TAG
from margin_platform.store import progress
from margin_platform.store.store import Store
from margin_platform.store.undecided import EVENTS_AT_ONCE, Read, read_span, undecided
from resources.kafka import UNAVAILABLE, KafkaResource

# from then on the next run may begin: an edited program is not used for longer, and a run's history stays
# readable. The run goes on until it does, so that no event waits for the change.
MAKES_ROOM_AFTER = 200.0
_LONGEST_SECONDS = 260.0  # a run is ended from outside after 300 s
_Awaited = TypeVar("_Awaited")


def followed(
    context: dg.OpExecutionContext, kafka: KafkaResource, bus: Bus, store: Store, consumer: str, span: Span
) -> Iterator[Read]:
    """Yield what the consumer has not decided up to the span's end, then what comes after it.

    It ends when nothing has come for the resource's `stay_seconds`, or, once it makes room, when the next run
    of the topic works. The run's tag `kafka/span` grows with what it takes. The caller must store each part
    before it asks for the next.
    """
    began, reading = time.monotonic(), reported(context)
    yield from undecided(reading, bus, store, consumer, span)
    # of several partitions a sensor asks for several runs, and waits for all of them
    if not kafka.stay_seconds or len(bus.end_offsets(span.topic)) > 1:
        return
    topic_id = span.topic_id or bus.topic_id(span.topic)
    while (age := time.monotonic() - began) < _LONGEST_SECONDS:
        # it is as patient then as before: the sensor asks for the next run when an event comes, and without
        # this one that event would wait until a run has started
        if age >= MAKES_ROOM_AFTER and (successor := _successor(context, span.topic)) is not None:
            context.log.info(f"run {successor} goes on")
            return
        start = _next_offset(store, consumer, span)
        records = _awaited(context, bus, span, start, kafka.stay_seconds)
        if not records:
            return
        end = records[-1].offset + 1
        taken = Span(span.topic, span.partition, min(span.start, start), max(span.end, end))
        context.instance.add_run_tags(context.run_id, {SPAN_TAG: str(taken)})
        yield read_span(reading, bus, Span(span.topic, span.partition, start, end, topic_id), records)


def unless_it_ends(context: dg.OpExecutionContext, wait: Callable[[], _Awaited]) -> _Awaited | None:
    """Return what was awaited; None where the broker went, or the worker is to end.

    A run whose worker is asked to end while it waits has nothing left to do: it ends well. One that a person
    terminates is canceled.
    """
    try:
        return wait()
    except UNAVAILABLE as gone:
        context.log.info(f"the run does not stay: {gone}")
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        run = context.instance.get_run_by_id(context.run_id)
        if run is not None and run.status == dg.DagsterRunStatus.CANCELING:
            raise
        context.log.info("the run does not stay: its worker is to end")
    return None


def _successor(context: dg.OpExecutionContext, topic: str) -> str | None:
    """Return the id of a newer run of the job that works on the topic."""
    working = dg.RunsFilter(
        job_name=context.job_name, tags={TOPIC_TAG: topic}, statuses=[dg.DagsterRunStatus.STARTED]
    )
    runs = context.instance.get_runs(working, limit=1)  # the newest
    return runs[0].run_id if runs and runs[0].run_id != context.run_id else None


def _next_offset(store: Store, consumer: str, span: Span) -> int:
    with store.read() as connection:
        known = progress.of(connection, consumer, span.topic, span.partition)
    return span.end if known is None else known.next_offset


def _awaited(
    context: dg.OpExecutionContext, bus: Bus, span: Span, start: int, patience: float
) -> list[Record] | None:
    """Return the next records; none where none came in time, the broker went, or the worker is to end."""
    return unless_it_ends(
        context, lambda: bus.poll(span.topic, {span.partition: start}, patience, EVENTS_AT_ONCE)
    )
