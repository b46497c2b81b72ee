"""From records of a topic to run requests: the same records always give the same run keys.

A run gets a span of offsets as its config, never the events themselves: executing it again reads the same events. A storm
of events becomes spans of up to `EVENTS_PER_RUN`, one after the other, so ten thousand accounts crossing at once make five runs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from margin_platform.bus import Bus, Record
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors import earlier_runs

EVENTS_PER_RUN = 2000
_WAIT_SHARE = 0.25   # of the time a tick may take: what is left is for its own events
_ACCOUNTS_IN_TAG = 8


class TopicRecreated(RuntimeError):
    """The cursor stands beyond the end of its partition: reading on would skip events silently."""


class EventsLost(RuntimeError):
    """Events after the cursor are no longer kept: reading on would skip them silently."""


@dataclass(frozen=True)
class Span:
    """Offsets start <= o < end of one partition, with the accounts whose events made it worth a run."""

    topic: str
    partition: int
    start: int
    end: int
    accounts: tuple[str, ...]

    @property
    def run_key(self) -> str:
        return f"{self.topic}:{self.partition}:{self.start}-{self.end}"

    @property
    def config(self) -> dict[str, str | int]:
        return {"topic": self.topic, "partition": self.partition, "start": self.start, "end": self.end}

    @property
    def tags(self) -> dict[str, str]:
        """Account (one), accounts (some, then how many more), topic, partition and offsets."""
        more = len(self.accounts) - _ACCOUNTS_IN_TAG
        named = ",".join(self.accounts[:_ACCOUNTS_IN_TAG]) + (f" and {more} more" if more > 0 else "")
        tags = {"kafka/topic": self.topic, "kafka/partition": str(self.partition), "kafka/offsets": f"{self.start}-{self.end}"}
        if len(self.accounts) == 1:
            tags["margin/account"] = named
        elif named:
            tags["margin/accounts"] = named
        return tags


def spans_of(records: Sequence[Record], is_relevant: Callable[[Record], bool], size: int = EVENTS_PER_RUN) -> list[Span]:
    """The records in runs of at most `size` of one partition, in order; stretches without a relevant record make no run."""
    spans = []
    for partition in sorted({r.partition for r in records}):
        rows = [r for r in records if r.partition == partition]
        for chunk in (rows[i:i + size] for i in range(0, len(rows), size)):
            wanted = [r for r in chunk if is_relevant(r)]
            if wanted:
                accounts = tuple(dict.fromkeys(r.key for r in wanted if r.key))
                spans.append(Span(wanted[0].topic, partition, chunk[0].offset, chunk[-1].offset + 1, accounts))
    return spans


def next_positions(positions: Mapping[int, int], records: Sequence[Record]) -> dict[int, int]:
    """Where to read on after these records."""
    after = dict(positions)
    for record in records:
        after[record.partition] = max(after.get(record.partition, 0), record.offset + 1)
    return after


def written(positions: Mapping[int, int]) -> str:
    """A cursor's text: offsets by partition."""
    return json.dumps({str(p): positions[p] for p in sorted(positions)})


def read(cursor: str | None) -> dict[int, int]:
    """The positions in a cursor's text; none before the first tick."""
    return {int(p): int(offset) for p, offset in json.loads(cursor or "{}").items()}


def start_positions(bus: Bus, topic: str, cursor: Mapping[int, int]) -> dict[int, int]:
    """The cursor, with partitions it does not know from their oldest event.

    TopicRecreated where it lies beyond the end, EventsLost where it lies before the oldest event kept.
    """
    ends = bus.end_offsets(topic)
    for partition, offset in cursor.items():
        if offset > ends.get(partition, 0):
            raise TopicRecreated(
                f"{topic}[{partition}]: the cursor stands at {offset}, the topic ends at {ends.get(partition, 0)}. It was made anew, "
                "and what knows its old offsets would pass over new events: delete this sensor's runs in Dagster (their keys are offsets) "
                "and the topic's rows of `processed` in the decision store, then reset this sensor's cursor."
            )
    if lost := bus.lost(topic, cursor):
        raise EventsLost(
            f"{lost}: deleted by retention before this sensor read them; nothing was started for them. "
            "Reset this sensor's cursor to go on with the oldest event kept; docs/operations.md says what else to do."
        )
    return {**bus.beginning_offsets(topic), **cursor}


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
            positions = start_positions(bus, topic, read(context.cursor))
            records = bus.poll(topic, positions, kafka.poll_seconds, EVENTS_PER_RUN)
    except UNAVAILABLE as missing:
        return dg.SkipReason(str(missing))
    after = next_positions(positions, records)
    spans = spans_of(records, is_relevant)
    if not spans:
        reason = f"{topic}: nothing to act on up to {written(after)}"
        return dg.SensorResult(skip_reason=reason, cursor=written(after))
    return dg.SensorResult(run_requests=[request(span, op) for span in spans], cursor=written(after))


def request(span: Span, op: str) -> dg.RunRequest:
    return dg.RunRequest(run_key=span.run_key, run_config={"ops": {op: {"config": span.config}}}, tags=span.tags)
