"""How far each consumer has decided each partition: the order of decisions, kept where the decisions are.

A consumer's next offset moves in the transaction that stores what was decided, and only over a span that
begins at it or before it. So an event is decided once, and no event is decided while an earlier one of its
partition is not, whatever the orchestrator starts, repeats, delays or overtakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from margin_platform.contracts.messages import TOPICS, Event
from margin_platform.contracts.offsets import Source, Span, TopicRecreated, spans_over
from margin_platform.store.tables import progress


class Consumer(StrEnum):
    """Who decides on events, each at its own pace."""

    ENFORCEMENT = "enforcement"
    LIQUIDATION = "liquidation"
    NOTIFICATION = "notification"
    CONTACTS = "contacts"


class OutOfOrder(RuntimeError):
    """Earlier events of the partition are undecided: the span must wait for them."""


class Progress(NamedTuple):
    """One consumer's next offset of one partition.

    topic_id: Kafka's id of the topic that the offset belongs to.
    """

    consumer: str
    topic: str
    partition: int
    next_offset: int
    topic_id: str | None


# built once: every run executes them several times
_SAME = (
    (progress.c.consumer == bindparam("of_consumer"))
    & (progress.c.topic == bindparam("of_topic"))
    & (progress.c.partition == bindparam("of_partition"))
)
_OF = select(progress).where(_SAME)
_MOVE = (
    update(progress)
    .where(_SAME)
    .values(next_offset=bindparam("to_offset"), topic_id=bindparam("to_topic_id"))
)
_EVERYTHING = select(progress).order_by(progress.c.consumer, progress.c.topic, progress.c.partition)


def of(connection: Connection, consumer: str, topic: str, partition: int) -> Progress | None:
    """Return how far the consumer is; None where it has decided nothing of the partition."""
    row = connection.execute(_OF, _place_of(consumer, topic, partition)).one_or_none()
    return None if row is None else Progress(*row)


def everything(connection: Connection) -> list[Progress]:
    """Return the progress of every consumer, by consumer, topic and partition."""
    return [Progress(*row) for row in connection.execute(_EVERYTHING)]


def next_offsets(connection: Connection, consumer: str, topic: str) -> dict[int, int]:
    """Return the next offset that a consumer decides of each partition of a topic."""
    return {
        p.partition: p.next_offset
        for p in everything(connection)
        if (p.consumer, p.topic) == (consumer, topic)
    }


def advance(connection: Connection, consumer: str, span: Span) -> int:
    """Move the consumer to the span's end;
    return the first of the span's offsets that was not decided before.

    OutOfOrder where the span begins after the consumer's next offset. TopicRecreated where the offset is of
    another topic of the same name. A consumer that has decided nothing of the partition begins with the span.
    """
    known = of(connection, consumer, span.topic, span.partition)
    if known is None:
        connection.execute(insert(progress).values(consumer=consumer, next_offset=span.end, **_place(span)))
        return span.start
    check_topic(known, span.topic_id)
    if span.start > known.next_offset:
        missing = Span(span.topic, span.partition, known.next_offset, span.start)
        raise OutOfOrder(f"{consumer}: {missing} is not decided; {span} must wait for it")
    if span.end > known.next_offset:
        moved = {"to_offset": span.end, "to_topic_id": span.topic_id or known.topic_id}
        connection.execute(_MOVE, _place_of(consumer, span.topic, span.partition) | moved)
    return known.next_offset


def fresh(
    connection: Connection,
    consumer: str,
    events: Sequence[tuple[Event, tuple[str, int, int]]],
    span: Span | None = None,
) -> list[tuple[Event, Source]]:
    """Move the consumer past the events; return those that it had not decided, in order.

    span: the offsets that were read, more than those of the events where some are refused or not the
    consumer's. None: the events are all there are between the first and the last.
    """
    spans = [span] if span else spans_over(source for _, source in events)
    begins = {(one.topic, one.partition): advance(connection, consumer, one) for one in spans}
    new: dict[Source, tuple[Event, Source]] = {}
    for event, given in events:
        source = Source(*given)
        if source.offset >= begins[source.topic, source.partition]:
            new.setdefault(source, (event, source))
    return list(new.values())


def check_topic(known: Progress, topic_id: str | None) -> None:
    """Raise TopicRecreated where the remembered offset belongs to another topic of this name."""
    if known.topic_id and topic_id and known.topic_id != topic_id:
        raise TopicRecreated(
            f"{known.topic}[{known.partition}]: {known.consumer} stands at {known.next_offset} of a topic "
            f"that was deleted (id {known.topic_id}, now {topic_id}); `margin progress forget "
            f"{known.topic}` begins with the new one"
        )


def skip(connection: Connection, consumer: str, topic: str, partition: int, next_offset: int) -> Span:
    """Move a consumer forward over events that can no longer be read; return what is left undecided.

    One that has decided nothing yet leaves all before the offset. ValueError where it stands further on, and
    for a consumer or a partition that there is not.
    """
    known = of(connection, consumer, topic, partition)
    if known is None:
        _check_place(consumer, topic, partition)
    first = 0 if known is None else known.next_offset
    if first >= next_offset:
        raise ValueError(f"offset: {consumer} stands at {first} in {topic}[{partition}], value {next_offset}")
    left = Span(topic, partition, first, next_offset)
    if known is None:
        connection.execute(
            insert(progress).values(consumer=consumer, next_offset=next_offset, **_place(left))
        )
    else:
        moved = {"to_offset": next_offset, "to_topic_id": known.topic_id}
        connection.execute(_MOVE, _place_of(consumer, topic, partition) | moved)
    return left


def _check_place(consumer: str, topic: str, partition: int) -> None:
    if consumer not in set(Consumer):
        raise ValueError(f"consumer: not among {', '.join(Consumer)}, value {consumer!r}")
    if topic not in TOPICS or partition >= TOPICS[topic].partitions:
        raise ValueError(f"topic: no such partition, value {topic}[{partition}]")


def forget(connection: Connection, topic: str) -> int:
    """Delete every consumer's progress in a topic that was created again; return how many there were."""
    return connection.execute(delete(progress).where(progress.c.topic == topic)).rowcount


def _place_of(consumer: str, topic: str, partition: int) -> dict[str, object]:
    return {"of_consumer": consumer, "of_topic": topic, "of_partition": partition}


def _place(span: Span) -> dict[str, str | int | None]:
    return {"topic": span.topic, "partition": span.partition, "topic_id": span.topic_id}
