"""The margin stream: fills, cash, terms and the market in; margin.status.v1, margin.calc.v1 and stress.beta_spy.v1 out.

`python -m spark.margin_snapshots` runs it alone.
"""

from __future__ import annotations

import time
from typing import Any

from margin_platform.bus import Record
from margin_platform.events import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS, STRESS, Event
from margin_platform.instruments import load
from margin_platform.margin_engine import TOPICS_IN_ORDER, MarginEngine
from spark.stream import Stream, StreamSettings
from spark.table_sink import MARGIN_SNAPSHOTS, TableSink


class MarginSnapshots(Stream):
    """The book, the market and each account's band, and the newest figures not yet in the table."""

    name = "margin_snapshots"
    topics = TOPICS_IN_ORDER

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, self.name, MARGIN_SNAPSHOTS))
        self.engine = MarginEngine(load(), settings.policy)
        self._unwritten: dict[str, Event] = {}
        self._written_at = float("-inf")

    def next_offset(self) -> dict[str, dict[int, int]]:
        return self.engine.next_offset

    def take(self, records: list[Record], batch_id: int) -> int:
        outcome = self.engine.process(records, batch_id)
        self.event_time = self.engine.event_time
        for topic, events in ((MARGIN_STATUS, outcome.status), (DEAD_LETTER, outcome.dead)):
            for event in events:
                self.bus.produce(topic, event)
        if outcome.status:
            self.bus.flush()   # decisions first: they do not wait behind a thousand figures
        for topic, events in ((MARGIN_CALC, outcome.calc), (STRESS, outcome.stress)):
            for event in events:
                self.bus.produce(topic, event)
        self._unwritten.update((event["account_id"], event) for event in outcome.calc)
        return outcome.accounts

    def write_table(self, version: int) -> None:
        if time.monotonic() - self._written_at < self.settings.table_seconds:
            return
        rows = [event | {"batch_id": version} for event in self._unwritten.values()]
        self.sink.append(rows, version)
        self._unwritten.clear()
        self._written_at = time.monotonic()

    def to_state(self) -> dict[str, Any]:
        return {"engine": self.engine.to_state(), "unwritten": self._unwritten}

    def restore(self, state: dict[str, Any]) -> None:
        self.engine.restore(state["engine"])
        self._unwritten = dict(state["unwritten"])


if __name__ == "__main__":
    from spark.streams import main

    raise SystemExit(main(["--only", MarginSnapshots.name]))
