"""The offset range a run works on: its config, so that executing the run again reads the very same events."""

import re
from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from assets.keys import topic_key
from margin_platform.contracts.offsets import Span
from margin_platform.kafka.bus import Bus
from margin_platform.store.undecided import Read, Reading

# Repeating is harmless: what a run does is keyed by the event that caused it. One that hangs must not hold up
# those after it.
RETRIES = {"dagster/max_retries": "3", "dagster/max_runtime": "300"}


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


class _Reported:
    """Reports what a run reads: in its log, and as an observation of the topic."""

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._context = context

    def info(self, said: str) -> None:
        self._context.log.info(said)

    def warning(self, said: str) -> None:
        self._context.log.warning(said)

    def was_read(self, read: Read) -> None:
        """Observe the snapshot that was read."""
        ids = [
            str(event[name])
            for _, event in read.events
            for name in ("calc_id", "call_id", "order_id")
            if event.get(name)
        ]
        self._context.log_event(
            dg.AssetObservation(
                topic_key(read.span.topic),
                metadata={
                    "offsets": str(read.span),
                    "events": len(read.events),
                    "refused": len(read.refused),
                    "ids": named(ids),
                    "newest_event_time": at(read.newest),
                },
            )
        )


def reported(context: dg.OpExecutionContext) -> Reading:
    """Return what reports the reading of a run to Dagster."""
    return _Reported(context)


def at(event_ms: int) -> dg.TimestampMetadataValue | dg.NullMetadataValue:
    """Return an event time (epoch milliseconds) as a time; nothing for 0."""
    return dg.MetadataValue.timestamp(event_ms / 1000) if event_ms else dg.MetadataValue.null()


def named(ids: Sequence[str], shown: int = 20) -> str:
    """Name some ids, and how many more there are."""
    unique = list(dict.fromkeys(ids))
    more = f" and {len(unique) - shown} more" if len(unique) > shown else ""
    return ", ".join(unique[:shown]) + more
