"""Where a topic sensor reads on, and why it may refuse to:
the topic is another one, or its events are gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from margin_platform.contracts.offsets import Record, TopicRecreated
from margin_platform.kafka.bus import Bus
from margin_platform.store.progress import Progress


class EventsLost(RuntimeError):
    """Events after the cursor are no longer kept: reading on would skip them silently."""


@dataclass(frozen=True)
class Cursor:
    """Where a sensor reads on: the next offset by partition, and Kafka's id of the topic that the offsets
    belong to.
    """

    positions: Mapping[int, int]
    topic_id: str | None = None

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Read a cursor's text; before the first tick there is none.

        One of an older version names no topic id.
        """
        state = json.loads(text or "{}")
        topic_id = state.pop("topic_id", None)
        return cls({int(p): int(offset) for p, offset in state.items()}, topic_id)

    def written(self) -> str:
        state: dict[str, int | str] = {str(p): self.positions[p] for p in sorted(self.positions)}
        return json.dumps(state | ({"topic_id": self.topic_id} if self.topic_id else {}))

    def after(self, records: Sequence[Record]) -> Cursor:
        """Return the cursor after these records."""
        positions = dict(self.positions)
        for record in records:
            positions[record.partition] = max(positions.get(record.partition, 0), record.offset + 1)
        return Cursor(positions, self.topic_id)

    def past(self, decided: Sequence[Progress]) -> Cursor:
        """Return the cursor behind what is decided already: a run that stays takes more than its span."""
        positions = dict(self.positions)
        for one in decided:
            if not (self.topic_id and one.topic_id) or one.topic_id == self.topic_id:
                positions[one.partition] = max(positions.get(one.partition, 0), one.next_offset)
        return Cursor(positions, self.topic_id)

    def opened(self, bus: Bus, topic: str) -> Cursor:
        """Return the cursor in the topic as it is: partitions that it does not know begin with their oldest
        event.

        TopicRecreated where the topic is another one, EventsLost where events after the cursor are no longer
        kept.
        """
        topic_id = bus.topic_id(topic)
        if self.topic_id and topic_id and self.topic_id != topic_id:
            raise TopicRecreated(
                f"{topic}: deleted and created again (id {self.topic_id}, now {topic_id}). "
                f"{_BEGIN_AGAIN.format(topic)}"
            )
        start = start_positions(bus, topic, self.positions)
        return Cursor(start, topic_id or self.topic_id)


_BEGIN_AGAIN = "Run `margin progress forget {0}`, then reset this sensor's cursor in Dagster."


def start_positions(bus: Bus, topic: str, positions: Mapping[int, int]) -> dict[int, int]:
    """Return the positions; partitions they do not name start at their oldest event.

    TopicRecreated where one lies beyond the end, EventsLost where one lies before the oldest event kept.
    """
    ends = bus.end_offsets(topic)
    for partition, offset in positions.items():
        if offset > ends.get(partition, 0):
            raise TopicRecreated(
                f"{topic}[{partition}]: the cursor stands at {offset}, the topic ends at "
                f"{ends.get(partition, 0)}: it was deleted and created again. {_BEGIN_AGAIN.format(topic)}"
            )
    if lost := bus.lost(topic, positions):
        raise EventsLost(
            f"{lost}: deleted by retention before this sensor read them; nothing was started for them. "
            "Run `margin progress skip` to leave them undecided, then reset this sensor's cursor to go on "
            "with the oldest event kept; docs/operations.md lists what else to do."
        )
    return {**bus.beginning_offsets(topic), **positions}
