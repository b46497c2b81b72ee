"""The volatility stream: prices in, one volatility a symbol and session out.

`python -m spark.volatility_tables` runs it alone.
"""

from __future__ import annotations

from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, VOLATILITY, encode
from margin_platform.contracts.offsets import Record
from margin_platform.snapshots.outcome import Messages
from margin_platform.volatility.engine import VolatilityEngine
from spark.program import main
from spark.stream import Stream, StreamSettings
from spark.tables.schemas import VOLATILITY_COLUMNS as SCHEMA
from spark.tables.sink import TableSink


class VolatilityTables(Stream):
    """Closes by symbol and session."""

    name = "volatility_tables"
    topics = (PRICES, CORPORATE_ACTIONS)

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, "volatility", SCHEMA))
        self.engine = VolatilityEngine(settings.policy)

    def next_offset(self) -> dict[str, dict[int, int]]:
        return self.engine.next_offset

    def take(self, records: list[Record], batch_id: int, *, publish: bool) -> int:
        events = self.engine.process(records)
        self.event_time = self.engine.event_time
        keys = [f"{event['symbol']} {event['as_of']}" for event in events]
        self.gather(Messages(keys, [*map(encode, events)]), batch_id)
        if publish:
            for event in events:
                self.bus.produce(VOLATILITY, event)
        return len(events)

    def to_state(self) -> dict[str, object]:
        return self.engine.to_state()

    def restore(self, state: dict[str, object]) -> None:
        self.engine.restore(state)


if __name__ == "__main__":
    raise SystemExit(main([VolatilityTables]))
