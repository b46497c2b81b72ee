"""The engine of the firm's totals as `ShardProcessor` runs it. Its Python worker imports this module."""

from __future__ import annotations

import itertools

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import DEAD_LETTER, FIRM_PARTIALS, FIRM_RISK, BadEvent, Event, decode
from margin_platform.contracts.offsets import Record
from margin_platform.firm.totals import FirmTotals
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.outcome import Messages, refused
from spark.account_shards.processor import Published


class TotalsOfFirm:
    """The firm's totals: one engine that reads the sums of all shards."""

    def __init__(self, policy: Policy, shards: int, number: int) -> None:
        assert number == 0, "the firm has one engine"
        self._totals = FirmTotals(policy, shards)
        self.event_time = 0

    def process(self, records: list[Record], batch_id: int) -> Published:
        """Return firm.risk.v1 of each tick whose shards are all there, oldest first."""
        found: list[tuple[str, Event]] = []
        for record in sorted(records, key=lambda r: (r.partition, r.offset)):
            try:
                rows = self._totals.take(decode(FIRM_PARTIALS, record.value))
            except BadEvent as error:
                found.append((DEAD_LETTER, refused(record, error)))
            else:
                found += [(FIRM_RISK, row) for row in rows]
        self.event_time = max((e["timestamp"] for t, e in found if t == FIRM_RISK), default=self.event_time)
        by_topic = itertools.groupby(found, key=lambda one: one[0])
        return [(topic, Messages.of(topic, (event for _, event in rows))) for topic, rows in by_topic]

    def effects(self) -> bytes:
        """Return nothing: records are all that it rests on."""
        return b""

    def replay(self, records: list[Record], batch_id: int, effects: bytes) -> None:
        """Apply records again."""
        self.process(records, batch_id)

    def under_another_policy(self) -> None:
        """Keep all: partials name their policy."""

    def oldest_input_seconds(self) -> float | None:
        """Return None: it uses no prices."""
        return None

    def to_state(self) -> dict[str, object]:
        return self._totals.to_state()

    def restore(self, state: Json) -> None:
        self._totals.restore(state)
