"""What the decision path asks of Kafka, and no more: `Bus` answers over a broker, the simulator without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record


class Sender(Protocol):
    """What a bus sends by."""

    def produce(self, topic: str, event: Event, key: str | None = None) -> None: ...
    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None: ...
    def flush(self) -> None: ...


class EventLog(Sender, Protocol):
    """Topics to send to and to read from, by offset. Each call is documented at `Bus`."""

    def end_offsets(self, topic: str) -> dict[int, int]: ...
    def beginning_offsets(self, topic: str) -> dict[int, int]: ...
    def topic_id(self, topic: str) -> str | None: ...
    def lost(self, topic: str, positions: Mapping[int, int]) -> str | None: ...
    def poll(
        self, topic: str, positions: dict[int, int], timeout_s: float, max_records: int = ...
    ) -> list[Record]: ...
    def read_range(self, topic: str, partition: int, start: int, end: int) -> list[Record]: ...


def missing(topic: str, positions: Mapping[int, int], oldest: Mapping[int, int]) -> str | None:
    """Return what lies between next offsets and the oldest kept, as `topic[partition] first-next, ...`;
    None where nothing does.
    """
    ranges = [
        f"{topic}[{p}] {offset}-{oldest[p]}"
        for p, offset in sorted(positions.items())
        if offset < oldest.get(p, 0)
    ]
    return ", ".join(ranges) or None
