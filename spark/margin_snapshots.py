"""The margin stream: fills, cash, terms and the market in; margin.status.v1, margin.calc.v1 and stress.beta_spy.v1 out.

`python -m spark.margin_snapshots` runs it alone.
"""

from __future__ import annotations

import time
from typing import Any

from margin_platform.bus import Record
from margin_platform.events import ACCOUNTS, MARGIN_CALC, MARGIN_STATUS, STRESS
from margin_platform.instruments import load
from margin_platform.margin_engine import TOPICS_IN_ORDER, MarginEngine, Outcome
from spark.stream import Stream, StreamSettings
from spark.table_sink import MARGIN_SNAPSHOTS, TableSink

_ANNOUNCE_SECONDS = 2.0   # how long after a fill its account may be announced before the fill is reported


class MarginSnapshots(Stream):
    """The book, the market and each account's band."""

    name = "margin_snapshots"
    topics = TOPICS_IN_ORDER

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, self.name, MARGIN_SNAPSHOTS))
        self.engine = MarginEngine(load(), settings.policy)

    def next_offset(self) -> dict[str, dict[int, int]]:
        return self.engine.next_offset

    def prepare(self) -> None:
        """Accounts announced so far: after a long stop their fills may be read before them (Spark divides a batch over topics)."""
        self.engine.ledger.announce(self.bus.latest_by_key(ACCOUNTS))

    def take(self, records: list[Record], batch_id: int, *, publish: bool) -> int:
        outcome = self.engine.process(records, batch_id)
        self.event_time = self.engine.event_time
        for event in outcome.calc:
            self.gather(event["account_id"], event, batch_id)
        if publish:
            self._publish(outcome)
        return outcome.accounts

    def _publish(self, outcome: Outcome) -> None:
        """Decisions first: they do not wait behind a thousand figures."""
        for event in outcome.status:
            self.bus.produce(MARGIN_STATUS, event)
        for letter in outcome.dead:
            self.refuse(letter)
        if outcome.status:
            self.bus.flush()
        for topic, events in ((MARGIN_CALC, outcome.calc), (STRESS, outcome.stress)):
            for event in events:
                self.bus.produce(topic, event)

    def oldest_input_seconds(self) -> float | None:
        return self.engine.oldest_price_seconds()

    def idle(self) -> None:
        """Fills and cash whose account did not turn up are reported."""
        for letter in self.engine.unannounced(int((time.time() - _ANNOUNCE_SECONDS) * 1000)):
            self.refuse(letter)
            self._unsaved = True

    def to_state(self) -> dict[str, Any]:
        return self.engine.to_state()

    def restore(self, state: dict[str, Any]) -> None:
        self.engine.restore(state)


if __name__ == "__main__":
    from spark.streams import main

    raise SystemExit(main(["--only", MarginSnapshots.name]))
