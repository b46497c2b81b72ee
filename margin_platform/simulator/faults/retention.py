"""Retention: a reader is away for as long as its topic is kept, or is overtaken by a deletion in a reading.

The margin stream and the sensors of a topic look at nothing for a time; then the topic's oldest records are
gone. Topics that are kept forever lose nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from margin_platform.simulator.story import Fault
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.topics import Topics


class Retention:
    """Deletes records that a reader needs.

    away: a topic whose readers look at nothing until a time; gone: a topic that lost records.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        agenda: Agenda,
        topics: Topics,
        away: Callable[[str, int], None],
        gone: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        """Keep the faults of this kind."""
        self._left = [fault for fault in faults if fault.kind == "retention"]
        self._agenda, self._topics = agenda, topics
        self._away, self._gone, self._note = away, gone, note

    def look(self) -> None:
        """Begin what waits for a record that has come."""
        for fault in tuple(self._left):
            how, topic = fault.what.split()
            if sum(map(len, self._topics.partitions(topic))) <= fault.at:
                continue
            self._left.remove(fault)
            delete = partial(self._delete, topic, fault.place)
            if how == "read":
                self._topics.when_read[topic] = delete
                continue
            until = self._agenda.now + 1_000 * fault.seconds
            self._note(f"nothing reads {topic} for {fault.seconds} s")
            self._away(topic, until)
            self._agenda.at(until - 1, delete)

    def end(self) -> None:
        """Let nothing new begin."""
        self._left.clear()

    def _delete(self, topic: str, kept: int) -> None:
        for partition, log in enumerate(self._topics.partitions(topic)):
            until = max(0, len(log) - kept)
            if until > self._topics.oldest(topic, partition):
                self._topics.delete(topic, partition, until)
                self._note(f"retention deletes {topic}[{partition}] up to {until}")
        self._gone(topic)
