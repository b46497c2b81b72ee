"""The margin stream: fills, cash, terms and the market in;
margin.status.v1, margin.calc.v1 and stress.beta_spy.v1 out.

`python -m spark.margin_snapshots` runs it alone.
"""

from __future__ import annotations

import time

from margin_platform.contracts.messages import ACCOUNTS, MARGIN_CALC, MARGIN_STATUS, STRESS
from margin_platform.contracts.offsets import Record
from margin_platform.market.instruments import load
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.snapshots.outcome import Messages, Outcome
from spark import progress
from spark.program import main
from spark.stream import Stream, StreamSettings
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS
from spark.tables.sink import TableSink

_ANNOUNCE_SECONDS = 2.0  # how long after a fill its account may be announced before the fill is reported


class MarginSnapshots(Stream):
    """The book, the market and each account's band."""

    name = "margin_snapshots"
    topics = TOPICS_IN_ORDER

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, self.name, MARGIN_SNAPSHOTS_COLUMNS))
        self.engine = MarginEngine(load(), settings.policy)
        self._heartbeat_due = 0.0

    def next_offset(self) -> dict[str, dict[int, int]]:
        return self.engine.next_offset

    def prepare(self) -> None:
        """Read the accounts announced so far: after a long stop their fills may be read before them (Spark
        divides a batch over topics). Figures published between two batches are in the table, and wait no
        longer.
        """
        if progress.lag(self.bus, {ACCOUNTS: self.engine.next_offset[ACCOUNTS]}):
            self.engine.ledger.announce(self.bus.latest_by_key(ACCOUNTS))
        self.engine.written(self.sink.keys_of(self._base + self._batch, "account_id"))

    def restate(self) -> None:
        """Have the next batch say in margin.status.v1 where each account stands."""
        self.engine.emission.forget_bands()

    def take(self, records: list[Record], batch_id: int, *, publish: bool) -> int:
        outcome = self.engine.process(records, batch_id)
        self.event_time = self.engine.event_time
        self.gather(outcome.calc, batch_id)
        if publish:
            self._publish(outcome)
        return outcome.accounts

    def _publish(self, outcome: Outcome) -> None:
        """Publish decisions first: they do not wait behind a thousand figures."""
        self._produce(MARGIN_STATUS, outcome.status)
        for letter in outcome.dead:
            self.refuse(letter)
        if outcome.status:
            self.bus.flush()
        self._produce(MARGIN_CALC, outcome.calc)
        self._produce(STRESS, outcome.stress)

    def _produce(self, topic: str, messages: Messages) -> None:
        self.bus.produce_many(topic, messages.texts, messages.keys)

    def oldest_input_seconds(self) -> float | None:
        return self.engine.oldest_price_seconds()

    def idle(self) -> None:
        """Publish figures that waited for room; report fills and cash whose account was never announced."""
        if time.monotonic() >= self._heartbeat_due:
            outcome = self.engine.overdue()
            self.gather(outcome.calc, self._batch)
            self._publish(outcome)
            if not self.engine.emission.waiting():
                self._heartbeat_due = time.monotonic() + self.settings.policy.emission.heartbeat_seconds
        for letter in self.engine.early.overdue(int((time.time() - _ANNOUNCE_SECONDS) * 1000)):
            self.refuse(letter)
            self._unsaved = True

    def to_state(self) -> dict[str, object]:
        return self.engine.to_state()

    def restore(self, state: dict[str, object]) -> None:
        self.engine.restore(state)


if __name__ == "__main__":
    raise SystemExit(main([MarginSnapshots]))
