"""The margin engine of one account shard: a pure function of its state and its records, ticks included.

What one engine does between batches by the wall's clock, a shard does when it reads a tick: figures that wait
go out, and fills and cash whose account did not turn up are reported. So a batch that Spark repeats leads to
the same events with the same ids, and any number of shards publishes what one would.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record
from margin_platform.firm.sums import AccountSums
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.emission import Changes
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.outcome import Outcome
from margin_platform.snapshots.shards import Shard

Effects = tuple[Changes, Json]
_AHEAD_MS = 2_000  # a batch may hold records of after its newest tick
ANNOUNCE_MS = 2_000  # how long after a fill its account may be announced before the fill is reported


class ShardEngine:
    """One shard's accounts and the whole market. `process` takes a batch; `to_state` and `restore` make it
    durable.
    """

    def __init__(self, instruments: Sequence[Instrument], policy: Policy, shard: Shard) -> None:
        """Divide the firm's limit of figures a batch over the shards."""
        room = -(-policy.emission.calc_per_batch // shard.of)
        emission = policy.emission.model_copy(update={"calc_per_batch": room})
        self.shard = shard
        self.engine = MarginEngine(instruments, policy.model_copy(update={"emission": emission}), shard)
        self._heartbeat = self._wall = 0
        self._sums = AccountSums(policy)
        self.engine.observe = self._sums.update
        self._unsettled = False

    def process(self, records: Iterable[Record], batch_id: int) -> Outcome:
        """Apply the shard's records of a batch; return what follows, decisions first."""
        self._settle()
        self.effects()  # of this batch alone
        given = list(records)
        wall = self._tick_of(given)
        outcome = self.engine.process(map(self._not_ahead, given), batch_id)
        if wall:
            outcome.dead += self.engine.early.overdue(wall - ANNOUNCE_MS)
            outcome.firm = self._partial(wall)
        if self._beats(wall):
            held = self.engine.overdue()
            outcome.calc += held.calc
            outcome.stress += held.stress
        return outcome

    def effects(self) -> Effects:
        """Return what the last batch left behind: beside its records, all that `replay` needs."""
        return self.engine.emission.changes(), self._sums.lost()

    def replay(self, records: Iterable[Record], batch_id: int, effects: Effects) -> None:
        """Apply a batch again without valuing an account."""
        given = list(records)
        wall = self._tick_of(given)
        self.engine.take_in(map(self._not_ahead, given), batch_id)
        if wall:
            self.engine.early.overdue(wall - ANNOUNCE_MS)
        self._beats(wall)
        changes, lost = effects
        self.engine.emission.apply(changes)
        self._sums.keep(lost)
        self._unsettled = True

    def _settle(self) -> None:
        """Sum up the accounts as they are after what was restored and replayed."""
        if self._unsettled:
            self._unsettled = False
            everyone = np.arange(len(self.engine.ledger.account_ids()), dtype=np.int64)
            self._sums.update(self.engine.margin_of(everyone))

    def _tick_of(self, records: Iterable[Record]) -> int:
        """Return the newest tick among records, 0 without one; know it from now on."""
        wall = max((record.timestamp_ms for record in records if record.topic == CLOCK), default=0)
        self._wall = max(wall, self._wall)
        return wall

    def _partial(self, wall: int) -> list[Event]:
        """Return what the accounts sum to at a tick; nothing before the market's first record."""
        now, ids = self.engine.event_time, self.engine.ledger.account_ids()
        return [self._sums.partial(self.shard.number, self.shard.of, wall, now, ids)] if now else []

    def _not_ahead(self, record: Record) -> Record:
        """Return a record produced at most a little after the newest tick: its clock may be fast."""
        latest = self._wall + _AHEAD_MS
        if not self._wall or record.timestamp_ms <= latest:
            return record
        return record._replace(timestamp_ms=latest)

    def _beats(self, wall: int) -> bool:
        """Return whether a tick is the first of its heartbeat: the same one in every shard."""
        period = max(1, round(self.engine.policy.emission.heartbeat_seconds * 1000))
        beat, before = wall // period, self._heartbeat
        self._heartbeat = max(beat, before)
        return beat > before

    def to_state(self) -> dict[str, object]:
        """Return everything the shard knows, as columns and JSON-able parts."""
        self._settle()
        return self.engine.to_state() | {
            "shard": [self.shard.number, self.shard.of],
            "heartbeat": self._heartbeat,
            "wall": self._wall,
            "sums": self._sums.to_state(),
        }

    def restore(self, state: Json) -> None:
        """Continue from a saved state. ValueError for the state of another shard."""
        if state["shard"] != [self.shard.number, self.shard.of]:
            raise ValueError(f"shard: not that of {self.shard}, value {state['shard']!r}")
        self.engine.restore(state)
        self._heartbeat, self._wall = state["heartbeat"], state["wall"]
        self._sums.keep(state["sums"])
        self._unsettled = True
