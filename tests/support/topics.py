"""A topic as a cursor sees it, without a broker."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def a_topic(topic_id: str | None, *ends: int) -> Any:
    """What a cursor asks a bus for, of a topic whose partitions hold events 0 to their end."""
    counted = dict(enumerate(ends))
    return SimpleNamespace(
        topic_id=lambda _: topic_id,
        end_offsets=lambda _: counted,
        beginning_offsets=lambda _: dict.fromkeys(counted, 0),
        lost=lambda *_: None,
    )
