"""From records of a topic to run requests: the same records always give the same run keys.

A run gets a span of offsets as its config, never the events themselves: executing it again reads the same
events. A storm of events becomes spans of up to `EVENTS_PER_RUN`, one after the other, so ten thousand
accounts crossing together make five runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from jobs.span_runs.run_report import tag
from jobs.span_runs.staying import MAKES_ROOM_AFTER
from margin_platform.contracts.offsets import Record, Span
from margin_platform.orchestration.run_tags import SPAN_TAG, TOPIC_TAG
from margin_platform.store.progress import Progress
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors.topic_ticks import earlier_runs, topic_undone
from sensors.topic_ticks.topic_cursor import Cursor
from sensors.topic_ticks.topic_undone import IsDecided

EVENTS_PER_RUN = 2000


@dataclass(frozen=True)
class WantedRun:
    """A span worth a run, with the accounts whose events made it so."""

    span: Span
    accounts: tuple[str, ...]

    @property
    def run_key(self) -> str:
        """The same for the same events; another for those of a topic created again, which has the same
        offsets.
        """
        topic = self.span.topic + (f"@{self.span.topic_id}" if self.span.topic_id else "")
        return f"{topic}:{self.span.partition}:{self.span.start}-{self.span.end}"

    @property
    def config(self) -> dict[str, str | int | None]:
        return self.span._asdict()

    @property
    def tags(self) -> dict[str, str]:
        """Return the topic, by which runs are found, the span, and the accounts as the report has them."""
        span = self.span
        tags = {TOPIC_TAG: span.topic, SPAN_TAG: str(span)}
        return tags | tag(self.accounts)


def runs_of(
    records: Sequence[Record],
    is_relevant: Callable[[Record], bool],
    topic_id: str | None = None,
    size: int = EVENTS_PER_RUN,
) -> list[WantedRun]:
    """Group the records into runs of at most `size` of one partition, in order; stretches without a relevant
    record make no run.
    """
    runs = []
    for partition in sorted({r.partition for r in records}):
        rows = [r for r in records if r.partition == partition]
        for chunk in (rows[i : i + size] for i in range(0, len(rows), size)):
            wanted = [r for r in chunk if is_relevant(r)]
            if wanted:
                accounts = tuple(dict.fromkeys(r.key for r in wanted if r.key))
                runs.append(
                    WantedRun(
                        Span(wanted[0].topic, partition, chunk[0].offset, chunk[-1].offset + 1, topic_id),
                        accounts,
                    )
                )
    return runs


def tick(
    context: dg.SensorEvaluationContext,
    kafka: KafkaResource,
    topic: str,
    job: str,
    op: str,
    is_relevant: Callable[[Record], bool] = lambda _: True,
    *,
    is_decided: IsDecided,
    decided: Callable[[], Sequence[Progress]] | None = None,
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate once: wait (bounded) for the run before and for events after the cursor, request their run,
    move the cursor.

    is_decided: whether the job's consumer has passed a span. What a run left that failed for good is asked
    for first. decided: how far the consumer of runs that stay is, asked for once no run works, or the one
    that does makes room.
    """
    began = time.monotonic()
    room = MAKES_ROOM_AFTER if decided else math.inf
    busy = earlier_runs.wait_for(context.instance, job, {TOPIC_TAG: topic}, kafka.poll_seconds, room)
    if busy is not None:
        return dg.SkipReason(f"{topic}: run {busy} still works on the events before")
    left = max(0.0, kafka.poll_seconds - (time.monotonic() - began))
    try:
        with kafka.bus() as bus:
            cursor = Cursor.read(context.cursor).past(decided() if decided else ()).opened(bus, topic)
            undone = topic_undone.requests(context.instance, job, topic, cursor.topic_id, is_decided)
            if undone:
                return dg.SensorResult(run_requests=undone, cursor=context.cursor)
            records = bus.poll(topic, dict(cursor.positions), left, EVENTS_PER_RUN)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    after = cursor.after(records).written()
    runs = runs_of(records, is_relevant, cursor.topic_id)
    if not runs:
        return dg.SensorResult(skip_reason=f"{topic}: nothing to act on up to {after}", cursor=after)
    return dg.SensorResult(run_requests=[request(run, op) for run in runs], cursor=after)


def request(run: WantedRun, op: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run.run_key, run_config={"ops": {op: {"config": run.config}}}, tags=run.tags)
