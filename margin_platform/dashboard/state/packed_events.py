"""Published events kept as bytes: a decoded event is a hundred objects, and a hundred thousand of them stop
the server.

CPython's garbage collector walks every object that can hold others. With each account's newest events decoded
that was a pause of seconds, several times a minute; bytes are not walked, and take an eighth of the memory.
Only who asks for an account pays for decoding.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import orjson

from margin_platform.contracts.messages import Event

Key = TypeVar("Key", bound=Hashable)


class Packed(Generic[Key]):
    """The newest event by key."""

    def __init__(self) -> None:
        self._events: dict[Key, bytes] = {}

    def put(self, key: Key, event: Event) -> None:
        """Replace the key's event. TypeError for what JSON cannot express."""
        # orjson's own result keeps its whole buffer, ten times as much
        self._events[key] = bytes(memoryview(orjson.dumps(event)))

    def get(self, key: Key) -> Event | None:
        """Return a copy of the key's event, None where there is none."""
        found = self._events.get(key)
        return None if found is None else dict(orjson.loads(found))
