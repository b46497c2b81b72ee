"""The offset range a run works on: its config, so that executing the run again reads the very same events."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from assets.keys import topic_key
from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import DEAD_LETTER, BadEvent, Event, decode
from margin_platform.contracts.offsets import Record, Source, Span, TopicRecreated
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.store import Store

# Repeating is harmless: what a run does is keyed by the event that caused it. One that hangs must not hold up
# those after it.
RETRIES = {"dagster/max_retries": "3", "dagster/max_runtime": "300"}
# read, decided and stored together: what a run catches up on is not held in memory as a whole
EVENTS_AT_ONCE = 2000


class SpanLost(RuntimeError):
    """Events of the span are no longer kept: a run on what is left of it would report them as done."""


class SpanConfig(dg.Config):
    """Offsets start <= o < end of one partition.

    A sensor names them, so that the run repeated reads the same events. A person who launches a job by hand
    may leave all but the topic empty: the run then decides what is undecided of partition 0 up to now.
    """

    topic: str = Field(description="Kafka topic whose events the run works on")
    partition: int = Field(default=0, ge=0, description="partition of the topic, from 0")
    start: int = Field(
        default=0,
        ge=0,
        description="first offset; earlier events that no run has decided are decided too, and first",
    )
    end: int | None = Field(
        default=None,
        ge=0,
        description="offset after the last event; empty takes the partition's end when the run begins",
    )
    topic_id: str | None = Field(
        default=None,
        description="Kafka's id of the topic: the offsets are meaningless in another; empty takes the "
        "topic there is",
    )

    def span(self, bus: Bus) -> Span:
        """Return the offsets to work on. LookupError where the topic has no such partition."""
        end = self.end
        if end is None:
            ends = bus.end_offsets(self.topic)
            if self.partition not in ends:
                raise LookupError(
                    f"partition: {self.topic} has {len(ends)} partitions from 0, value {self.partition}"
                )
            end = ends[self.partition]
        return Span(self.topic, self.partition, self.start, end, self.topic_id)


def one_of(*topics: str) -> str:
    """Return the pattern of a config field that names one of these topics."""
    return f"^({'|'.join(re.escape(topic) for topic in topics)})$"


@dataclass(frozen=True)
class Read:
    """A span, its events with where each stood, and the messages that broke their contract."""

    span: Span
    events: tuple[tuple[Record, Event], ...]
    refused: tuple[tuple[Record, BadEvent], ...]

    @property
    def sourced(self) -> list[tuple[Event, Source]]:
        """Each event with the topic, partition and offset that make what follows from it unique."""
        return [
            (event, Source(record.topic, record.partition, record.offset)) for record, event in self.events
        ]

    @property
    def newest(self) -> int:
        """Event time of the newest event, epoch milliseconds; 0 where there is none."""
        return max((int(event["timestamp"]) for _, event in self.events), default=0)


def decoded(records: Sequence[Record]) -> tuple[list[tuple[Record, Event]], list[tuple[Record, BadEvent]]]:
    """Return each record as an event or as a refusal, in order.

    An event that names no time happened when Kafka recorded it.
    """
    events, refused = [], []
    for record in records:
        try:
            events.append((record, {"timestamp": record.timestamp_ms} | decode(record.topic, record.value)))
        except BadEvent as error:
            refused.append((record, error))
    return events, refused


def undecided(
    context: dg.OpExecutionContext, bus: Bus, store: Store, consumer: str, span: Span
) -> Iterator[Read]:
    """Yield what the consumer has not decided of a partition up to the span's end, in order,
    a bounded part at a time.

    It begins where the store points, not where the span does: earlier events whose run failed or waits are
    decided first, and those that another run has decided meanwhile are left out. The caller must store each
    part before it asks for the next.
    """
    span = span._replace(topic_id=span.topic_id or bus.topic_id(span.topic))
    with store.read() as connection:
        known = progress.of(connection, consumer, span.topic, span.partition)
    if known is not None:
        progress.check_topic(known, span.topic_id)
    oldest = bus.beginning_offsets(span.topic)[span.partition]
    start = min(oldest, span.start) if known is None else known.next_offset
    if start >= span.end:
        context.log.info(f"{consumer}: {span} is decided already")
    elif start < span.start:
        context.log.info(
            f"{consumer}: begins with {span._replace(start=start, end=span.start)}, which no earlier run "
            "has decided"
        )
    for begin in range(start, span.end, EVENTS_AT_ONCE):
        yield read_span(context, bus, span._replace(start=begin, end=min(begin + EVENTS_AT_ONCE, span.end)))


def read_span(
    context: dg.OpExecutionContext, bus: Bus, span: Span, records: Sequence[Record] | None = None
) -> Read:
    """Read a span; send refused messages to dead_letter.v1, go on with the rest, and observe the snapshot
    that was read. records: those of the span, where they were read already.

    TopicRecreated where the topic is another one of the same name, SpanLost where retention has deleted
    events of the span.
    """
    _check(bus, span)
    if records is None:
        records = bus.read_range(span.topic, span.partition, span.start, span.end)
    events, refused = decoded(records)
    for record, error in refused:
        context.log.warning(f"{record.topic}[{record.partition}]@{record.offset} refused: {error}")
        bus.produce(
            DEAD_LETTER,
            dead_letter(
                record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms
            ),
        )
    if refused:
        bus.flush()  # the run succeeds only with its dead letters at the broker
    read = Read(span, tuple(events), tuple(refused))
    ids = [
        str(event[name])
        for _, event in events
        for name in ("calc_id", "call_id", "order_id")
        if event.get(name)
    ]
    context.log_event(
        dg.AssetObservation(
            topic_key(span.topic),
            metadata={
                "offsets": str(span),
                "events": len(events),
                "refused": len(refused),
                "ids": named(ids),
                "newest_event_time": at(read.newest),
            },
        )
    )
    return read


def _check(bus: Bus, span: Span) -> None:
    """Check that the offsets still mean what they meant when the run was requested, and that their events are
    still there."""
    now = bus.topic_id(span.topic)
    if span.topic_id and now and now != span.topic_id:
        raise TopicRecreated(
            f"{span}: the topic was deleted and created again (id {span.topic_id}, now {now})"
        )
    if lost := bus.lost(span.topic, {span.partition: span.start}):
        raise SpanLost(
            f"{lost}: deleted by retention before they were decided. `margin progress skip` leaves them "
            "undecided for good"
        )


def at(event_ms: int) -> dg.TimestampMetadataValue | dg.NullMetadataValue:
    """Return an event time (epoch milliseconds) as a time; nothing for 0."""
    return dg.MetadataValue.timestamp(event_ms / 1000) if event_ms else dg.MetadataValue.null()


def named(ids: Sequence[str], shown: int = 20) -> str:
    """Name some ids, and how many more there are."""
    unique = list(dict.fromkeys(ids))
    more = f" and {len(unique) - shown} more" if len(unique) > shown else ""
    return ", ".join(unique[:shown]) + more
