"""From records of a topic to run requests: the same records always give the same run keys.

A run gets a span of offsets as its config, never the events themselves: executing it again reads the same events. A storm
of events becomes spans of up to `EVENTS_PER_RUN`, one after the other, so ten thousand accounts crossing at once make five runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from margin_platform.contracts.offsets import Span, TopicRecreated
from margin_platform.kafka.bus import Bus, Record
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors import earlier_runs

EVENTS_PER_RUN = 2000
_WAIT_SHARE = 0.25   # of the time a tick may take: what is left is for its own events
_ACCOUNTS_IN_TAG = 8


class EventsLost(RuntimeError):
    """Events after the cursor are no longer kept: reading on would skip them silently."""


@dataclass(frozen=True)
class WantedRun:
    """A span worth a run, with the accounts whose events made it so."""

    span: Span
    accounts: tuple[str, ...]

    @property
    def run_key(self) -> str:
        """The same for the same events; another for those of a topic created again, which has the same offsets."""
        topic = self.span.topic + (f"@{self.span.topic_id}" if self.span.topic_id else "")
        return f"{topic}:{self.span.partition}:{self.span.start}-{self.span.end}"

    @property
    def config(self) -> dict[str, str | int | None]:
        return self.span._asdict()

    @property
    def tags(self) -> dict[str, str]:
        """Account (one), accounts (some, then how many more), topic, partition and offsets."""
        more = len(self.accounts) - _ACCOUNTS_IN_TAG
        named = ",".join(self.accounts[:_ACCOUNTS_IN_TAG]) + (f" and {more} more" if more > 0 else "")
        span = self.span
        tags = {"kafka/topic": span.topic, "kafka/partition": str(span.partition), "kafka/offsets": f"{span.start}-{span.end}"}
        if len(self.accounts) == 1:
            tags["margin/account"] = named
        elif named:
            tags["margin/accounts"] = named
        return tags


def runs_of(
    records: Sequence[Record], is_relevant: Callable[[Record], bool], topic_id: str | None = None, size: int = EVENTS_PER_RUN
) -> list[WantedRun]:
    """The records in runs of at most `size` of one partition, in order; stretches without a relevant record make no run."""
    runs = []
    for partition in sorted({r.partition for r in records}):
        rows = [r for r in records if r.partition == partition]
        for chunk in (rows[i:i + size] for i in range(0, len(rows), size)):
            wanted = [r for r in chunk if is_relevant(r)]
            if wanted:
                accounts = tuple(dict.fromkeys(r.key for r in wanted if r.key))
                runs.append(WantedRun(Span(wanted[0].topic, partition, chunk[0].offset, chunk[-1].offset + 1, topic_id), accounts))
    return runs


@dataclass(frozen=True)
class Cursor:
    """Where a sensor reads on: the next offset by partition, and Kafka's id of the topic that the offsets belong to."""

    positions: Mapping[int, int]
    topic_id: str | None = None

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Read a cursor's text; before the first tick there is none. One of an older version names no topic id."""
        state = json.loads(text or "{}")
        topic_id = state.pop("topic_id", None)
        return cls({int(p): int(offset) for p, offset in state.items()}, topic_id)

    def written(self) -> str:
        state: dict[str, int | str] = {str(p): self.positions[p] for p in sorted(self.positions)}
        return json.dumps(state | ({"topic_id": self.topic_id} if self.topic_id else {}))

    def after(self, records: Sequence[Record]) -> Cursor:
        """Where to read on after these records."""
        positions = dict(self.positions)
        for record in records:
            positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
        return Cursor(positions, self.topic_id)

    def opened(self, bus: Bus, topic: str) -> Cursor:
        """The cursor in the topic as it is: partitions that it does not know begin with their oldest event.

        TopicRecreated where the topic is another one, EventsLost where events after the cursor are no longer kept.
        """
        topic_id = bus.topic_id(topic)
        if self.topic_id and topic_id and self.topic_id != topic_id:
            raise TopicRecreated(f"{topic}: deleted and created again (id {self.topic_id}, now {topic_id}). {_BEGIN_AGAIN.format(topic)}")
        start = start_positions(bus, topic, self.positions)
        return Cursor(start, topic_id or self.topic_id)


_BEGIN_AGAIN = "Run `margin progress forget {0}`, then reset this sensor's cursor in Dagster."


def start_positions(bus: Bus, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
    """The positions, with partitions they do not name from their oldest event.

    TopicRecreated where one lies beyond the end, EventsLost where one lies before the oldest event kept.
    """
    ends = bus.end_offsets(topic)
    for partition, offset in positions.items():
        if offset > ends.get(partition, 0):
            raise TopicRecreated(
                f"{topic}[{partition}]: the cursor stands at {offset}, the topic ends at {ends.get(partition, 0)}: it was deleted and "
                f"created again. {_BEGIN_AGAIN.format(topic)}"
            )
    if lost := bus.lost(topic, positions):
        raise EventsLost(
            f"{lost}: deleted by retention before this sensor read them; nothing was started for them. "
            "Run `margin progress skip` to leave them undecided, then reset this sensor's cursor to go on with the oldest event "
            "kept; docs/operations.md says what else to do."
        )
    return {**bus.beginning_offsets(topic), **positions}


def tick(
    context: dg.SensorEvaluationContext,
    kafka: KafkaResource,
    topic: str,
    job: str,
    op: str,
    is_relevant: Callable[[Record], bool] = lambda _: True,
) -> dg.SensorResult | dg.SkipReason:
    """One evaluation: wait (bounded) for the run before and for events after the cursor, ask for their run, move the cursor."""
    busy = earlier_runs.wait_for(context.instance, job, {"kafka/topic": topic}, kafka.poll_seconds * _WAIT_SHARE)
    if busy is not None:
        return dg.SkipReason(f"{topic}: run {busy} still works on the events before")
    try:
        with kafka.bus() as bus:
            cursor = Cursor.read(context.cursor).opened(bus, topic)
            records = bus.poll(topic, dict(cursor.positions), kafka.poll_seconds, EVENTS_PER_RUN)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    after = cursor.after(records).written()
    runs = runs_of(records, is_relevant, cursor.topic_id)
    if not runs:
        return dg.SensorResult(skip_reason=f"{topic}: nothing to act on up to {after}", cursor=after)
    return dg.SensorResult(run_requests=[request(run, op) for run in runs], cursor=after)


def request(run: WantedRun, op: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=run.run_key, run_config={"ops": {op: {"config": run.config}}}, tags=run.tags)
