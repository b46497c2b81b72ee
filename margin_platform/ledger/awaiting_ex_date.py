"""Announced actions: splits and dividends wait here until the event clock reaches midnight in New York of their ex-date.

A split is announced weeks ahead; until its day holdings and prices are those of before. Pure: due on the event clock only.
"""

from __future__ import annotations

from typing import Any

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.corporate_actions import effective_time

_NEVER = 1 << 62
Due = tuple[Event, dict[str, Any]]   # a corporate action and where it stood: topic, partition, offset, timestamp


class AnnouncedActions:
    """Actions whose day has not come, by id; of one delivered twice the first counts. Durable through `to_state`."""

    def __init__(self) -> None:
        self._waiting: dict[str, Due] = {}
        self._next = _NEVER   # the first day among them: asked for with every event

    def add(self, record: Record, action: Event) -> None:
        """Takes an action, whatever its day."""
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "timestamp": record.timestamp_ms}
        place["raw"] = (record.value or b"").decode(errors="replace")
        self._waiting.setdefault(action["action_id"], (action, place))
        self._next = min(self._next, effective_time(action))

    def due(self, now: int) -> list[Due]:
        """Hands over, once, the actions in effect at an event time (epoch milliseconds), by day and id."""
        if now < self._next:
            return []
        found = [due for due in self._waiting.values() if effective_time(due[0]) <= now]
        for action, _ in found:
            del self._waiting[action["action_id"]]
        self._next = min((effective_time(action) for action, _ in self._waiting.values()), default=_NEVER)
        return sorted(found, key=lambda due: (due[0]["ex_date"], due[0]["action_id"]))

    def to_state(self) -> list[Any]:
        """JSON-able."""
        return list(self._waiting.values())

    def restore(self, state: list[Any]) -> None:
        self._waiting = {action["action_id"]: (action, place) for action, place in state}
        self._next = min((effective_time(action) for action, _ in self._waiting.values()), default=_NEVER)


def refused(place: dict[str, Any], error: BadEvent) -> Event:
    """The dead letter of an action that could not be booked when its day came."""
    return dead_letter(place["topic"], place["partition"], place["offset"], place["raw"].encode(), error, place["timestamp"])
