"""How far decisions are behind the status events: what a replay waits for before it goes on."""

from __future__ import annotations

from contextlib import ExitStack

from sqlalchemy import make_url

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.store import Store, StoreMissing, check_exists


class DecisionLag:
    """Counts the status events that enforcement has not decided; reads the store once there is one."""

    def __init__(self, bus: Bus, store_url: str) -> None:
        self._bus, self._url = bus, store_url
        self._store: Store | None = None
        self._opened = ExitStack()

    def __enter__(self) -> DecisionLag:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def undecided(self) -> int:
        """Return the number of status events that enforcement has still to decide."""
        decided = self._decided()
        ends, begins = (self._bus.end_offsets(MARGIN_STATUS), self._bus.beginning_offsets(MARGIN_STATUS))
        return sum(end - decided.get(partition, begins[partition]) for partition, end in ends.items())

    def _decided(self) -> dict[int, int]:
        """Return the next offset of each partition; nothing before the first decision makes the store."""
        if self._store is None:
            try:
                check_exists(make_url(self._url))
            except StoreMissing:
                return {}
            self._store = self._opened.enter_context(Store(self._url, read_only=True))
        with self._store.read() as connection:
            return progress.next_offsets(connection, progress.Consumer.ENFORCEMENT, MARGIN_STATUS)
