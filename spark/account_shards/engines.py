"""The engines of the house as `ShardProcessor` runs them, and what each publishes.

A Python worker imports this module: no Kafka client and no Dagster. What a shard needs comes with it from the
driver, as an executor need not have the driver's settings.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import (
    DEAD_LETTER,
    FIRM_PARTIALS,
    FIRM_RISK,
    MARGIN_CALC,
    MARGIN_STATUS,
    STRESS,
    VOLATILITY,
)
from margin_platform.contracts.offsets import Record
from margin_platform.firm.totals import FirmTotals
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.outcome import Messages
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shard_of
from margin_platform.volatility.engine import VolatilityEngine
from spark.account_shards.processor import Published


class MarginOfShard:
    """The margin of one shard's accounts.

    One shard is the whole firm, so its sums are the firm's at each tick. Those of several are added up by
    `totals.TotalsOfFirm`.
    """

    def __init__(self, policy: Policy, shards: int, instruments: Sequence[Instrument], number: int) -> None:
        self.engine = ShardEngine(instruments, policy, Shard(number, shards))
        self._alone = shards == 1
        self._totals = FirmTotals(policy, shards)

    def process(self, records: list[Record], batch_id: int) -> Published:
        """Return decisions, then dead letters, figures and sums."""
        outcome = self.engine.process(records, batch_id)
        topic, sums = FIRM_PARTIALS, outcome.firm
        if self._alone:
            topic, sums = FIRM_RISK, [row for partial in sums for row in self._totals.take(partial)]
        return [
            (MARGIN_STATUS, outcome.status),
            (DEAD_LETTER, Messages.of(DEAD_LETTER, outcome.dead)),
            (MARGIN_CALC, outcome.calc),
            (STRESS, outcome.stress),
            (topic, Messages.of(topic, sums)),
        ]

    def effects(self) -> bytes:
        """Return what valuing the batch's accounts left behind."""
        return pickle.dumps(self.engine.effects(), protocol=5)

    def replay(self, records: list[Record], batch_id: int, effects: bytes) -> None:
        """Apply records again. No account is valued and no event is built: that is most of the work."""
        self.engine.replay(records, batch_id, pickle.loads(effects))

    def under_another_policy(self) -> None:
        """Have each account's next evaluation say where it stands."""
        self.engine.engine.emission.forget_bands()

    @property
    def event_time(self) -> int:
        return self.engine.engine.event_time

    def oldest_input_seconds(self) -> float | None:
        """Return the age of the oldest price in use."""
        return self.engine.engine.oldest_price_seconds()

    def to_state(self) -> dict[str, object]:
        return self.engine.to_state()

    def restore(self, state: Json) -> None:
        self.engine.restore(state)


class VolatilityOfShard:
    """The volatilities of one shard's symbols. All shards read all prints: they move the clock."""

    def __init__(self, policy: Policy, shards: int, number: int) -> None:
        self._engine = VolatilityEngine(policy, lambda symbol: shard_of(symbol, shards) == number)

    def process(self, records: list[Record], batch_id: int) -> Published:
        """Return volatility.v1 of the sessions that are over."""
        return [(VOLATILITY, Messages.of(VOLATILITY, self._engine.process(records)))]

    def effects(self) -> bytes:
        """Return nothing: records are all that it rests on."""
        return b""

    def replay(self, records: list[Record], batch_id: int, effects: bytes) -> None:
        """Apply records again."""
        self._engine.process(records)

    def under_another_policy(self) -> None:
        """Keep all: the next session is computed by the policy of then."""

    @property
    def event_time(self) -> int:
        return self._engine.event_time

    def oldest_input_seconds(self) -> float | None:
        """Return None: a close has no age."""
        return None

    def to_state(self) -> dict[str, object]:
        return self._engine.to_state()

    def restore(self, state: Json) -> None:
        self._engine.restore(state)
