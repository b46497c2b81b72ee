"""The offset range a run works on: its config, so that executing the run again reads the very same events."""

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg
from pydantic import Field

from assets.topics import topic_key
from margin_platform.bus import Bus, Record
from margin_platform.dead_letters import dead_letter
from margin_platform.events import DEAD_LETTER, BadEvent, Event, decode

# Repeating is harmless: what a run does is keyed by the event that caused it. One that hangs must not hold up those after it.
RETRIES = {"dagster/max_retries": "3", "dagster/max_runtime": "300"}
Source = tuple[str, int, int]


class SpanLost(RuntimeError):
    """Events of the span are no longer kept: a run on what is left of it would report them as done."""


class SpanConfig(dg.Config):
    """Offsets start <= o < end of one partition."""

    topic: str
    partition: int = Field(ge=0)
    start: int = Field(ge=0)
    end: int = Field(ge=0)


@dataclass(frozen=True)
class Read:
    """The span's events with where each stood, and the messages that broke their contract."""

    events: tuple[tuple[Record, Event], ...]
    refused: tuple[tuple[Record, BadEvent], ...]

    @property
    def sourced(self) -> list[tuple[Event, Source]]:
        """Each event with the topic, partition and offset that make what follows from it unique."""
        return [(event, (record.topic, record.partition, record.offset)) for record, event in self.events]

    @property
    def newest(self) -> int:
        """Event time of the newest event, epoch milliseconds; 0 where there is none."""
        return max((int(event["timestamp"]) for _, event in self.events), default=0)


def decoded(records: Sequence[Record]) -> Read:
    """Each record as an event or as a refusal, in order. An event that names no time happened when Kafka recorded it."""
    events, refused = [], []
    for record in records:
        try:
            events.append((record, {"timestamp": record.timestamp_ms} | decode(record.topic, record.value)))
        except BadEvent as error:
            refused.append((record, error))
    return Read(tuple(events), tuple(refused))


def read_span(context: dg.OpExecutionContext, bus: Bus, span: SpanConfig) -> Read:
    """Reads the span; refused messages go to dead_letter.v1, the run goes on, and the snapshot it read is observed.

    SpanLost where retention has deleted events of it.
    """
    if lost := bus.lost(span.topic, {span.partition: span.start}):
        raise SpanLost(f"{lost}: deleted by retention; this run cannot be executed any more")
    read = decoded(bus.read_range(span.topic, span.partition, span.start, span.end))
    for record, error in read.refused:
        context.log.warning(f"{record.topic}[{record.partition}]@{record.offset} refused: {error}")
        bus.produce(DEAD_LETTER, dead_letter(record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms))
    if read.refused:
        bus.flush()   # the run succeeds only with its dead letters at the broker
    ids = [str(event[name]) for _, event in read.events for name in ("calc_id", "call_id", "order_id") if event.get(name)]
    context.log_event(
        dg.AssetObservation(
            topic_key(span.topic),
            metadata={
                "offsets": f"{span.topic}[{span.partition}] {span.start}-{span.end}", "events": len(read.events),
                "refused": len(read.refused), "ids": named(ids), "newest_event_time": read.newest,
            },
        )
    )
    return read


def named(ids: Sequence[str], shown: int = 20) -> str:
    """Some ids, and how many more there are."""
    unique = list(dict.fromkeys(ids))
    more = f" and {len(unique) - shown} more" if len(unique) > shown else ""
    return ", ".join(unique[:shown]) + more
