"""The volatility stream: prices in, one volatility a symbol and session out. `python -m spark.volatility_tables` runs it alone."""

from __future__ import annotations

from typing import Any

from margin_platform.bus import Record
from margin_platform.events import CORPORATE_ACTIONS, PRICES, VOLATILITY, Event
from margin_platform.volatility_engine import VolatilityEngine
from spark.stream import Stream, StreamSettings
from spark.table_sink import VOLATILITY as SCHEMA
from spark.table_sink import TableSink


class VolatilityTables(Stream):
    """Closes by session and the volatilities not yet in the table."""

    name = "volatility_tables"
    topics = (PRICES, CORPORATE_ACTIONS)

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, "volatility", SCHEMA))
        self.engine = VolatilityEngine(settings.policy)
        self._unwritten: list[Event] = []

    def next_offset(self) -> dict[str, dict[int, int]]:
        return self.engine.next_offset

    def take(self, records: list[Record], batch_id: int) -> int:
        events = self.engine.process(records)
        self.event_time = self.engine.event_time
        for event in events:
            self.bus.produce(VOLATILITY, event)
        self._unwritten += events
        return len(events)

    def write_table(self, version: int) -> None:
        self.sink.append([event | {"batch_id": version} for event in self._unwritten], version)
        self._unwritten.clear()

    def to_state(self) -> dict[str, Any]:
        return {"engine": self.engine.to_state(), "unwritten": self._unwritten}

    def restore(self, state: dict[str, Any]) -> None:
        self.engine.restore(state["engine"])
        self._unwritten = list(state["unwritten"])


if __name__ == "__main__":
    from spark.streams import main

    raise SystemExit(main(["--only", VolatilityTables.name]))
