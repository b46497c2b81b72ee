"""The events of a partition that a consumer has not decided, read in order, a bounded part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import DEAD_LETTER, BadEvent, Event, decode
from margin_platform.contracts.offsets import Record, Source, Span, TopicRecreated
from margin_platform.kafka.event_log import EventLog
from margin_platform.store import progress
from margin_platform.store.store import Store

# read, decided and stored together: what a run catches up on is not held in memory as a whole
EVENTS_AT_ONCE = 2000


class SpanLost(RuntimeError):
    """Events of the span are no longer kept: a run on what is left of it would report them as done."""


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


class Reading(Protocol):
    """Who reads: it hears what was read, and why."""

    def info(self, said: str) -> None: ...
    def warning(self, said: str) -> None: ...
    def was_read(self, read: Read) -> None: ...


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


def undecided(reading: Reading, bus: EventLog, store: Store, consumer: str, span: Span) -> Iterator[Read]:
    """Yield what the consumer has not decided of a partition up to the span's end, in order,
    a bounded part at a time.

    It begins where the store points, not where the span does: earlier events whose run failed or waits are
    decided first, and those that another run has decided meanwhile are left out. A consumer that has decided
    nothing begins with the topic. SpanLost where retention has deleted what is to be decided first. The
    caller must store each part before it asks for the next.
    """
    span = span._replace(topic_id=span.topic_id or bus.topic_id(span.topic))
    with store.read() as connection:
        known = progress.of(connection, consumer, span.topic, span.partition)
    if known is not None:
        progress.check_topic(known, span.topic_id)
    start = 0 if known is None else known.next_offset
    if start >= span.end:
        reading.info(f"{consumer}: {span} is decided already")
    elif start < span.start:
        reading.info(
            f"{consumer}: begins with {span._replace(start=start, end=span.start)}, which no earlier run "
            "has decided"
        )
    for begin in range(start, span.end, EVENTS_AT_ONCE):
        yield read_span(reading, bus, span._replace(start=begin, end=min(begin + EVENTS_AT_ONCE, span.end)))


def read_span(reading: Reading, bus: EventLog, span: Span, records: Sequence[Record] | None = None) -> Read:
    """Read a span; send refused messages to dead_letter.v1, go on with the rest, and report what was read.

    records: those of the span, where they were read already. TopicRecreated where the topic is another one of
    the same name, SpanLost where retention has deleted events of the span.
    """
    _check_topic(bus, span)
    if records is None:
        records = bus.read_range(span.topic, span.partition, span.start, span.end)
    _check_whole(bus, span, records)
    events, refused = decoded(records)
    for record, error in refused:
        reading.warning(f"{record.topic}[{record.partition}]@{record.offset} refused: {error}")
        bus.produce(
            DEAD_LETTER,
            dead_letter(
                record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms
            ),
        )
    if refused:
        bus.flush()  # the run succeeds only with its dead letters at the broker
    read = Read(span, tuple(events), tuple(refused))
    reading.was_read(read)
    return read


def _check_topic(bus: EventLog, span: Span) -> None:
    """Check that the offsets still mean what they meant when the run was requested."""
    now = bus.topic_id(span.topic)
    if span.topic_id and now and now != span.topic_id:
        raise TopicRecreated(
            f"{span}: the topic was deleted and created again (id {span.topic_id}, now {now})"
        )


def _check_whole(bus: EventLog, span: Span, records: Sequence[Record]) -> None:
    """Check that nothing is missing at the front of what was read, where retention deletes.

    Once it is read: what is deleted between a check and the reading would be passed over in silence.
    """
    first = records[0].offset if records else span.end
    if first > span.start and (lost := bus.lost(span.topic, {span.partition: span.start})):
        raise SpanLost(
            f"{lost}: deleted by retention before they were decided. `margin progress skip` leaves them "
            "undecided for good"
        )
