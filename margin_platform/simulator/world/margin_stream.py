"""Spark, simulated, around the product's engine by account shard.

A batch's boundaries are kept before it runs. The state of the shards is saved every few batches, through its
bytes. After a death the newest state is loaded, batches finished since are applied again silently, and the
one in flight is run again with the same boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from margin_platform import durable_state
from margin_platform.contracts.messages import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS
from margin_platform.contracts.offsets import Record
from margin_platform.market.instruments import load
from margin_platform.policy.policy import Policy
from margin_platform.simulator.world.processes import Processes
from margin_platform.simulator.world.topics import Connection, Topics
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER
from margin_platform.snapshots.outcome import Messages, Outcome
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shards_of

_Ends = dict[tuple[str, int], int]  # topic, partition -> next offset
_READ = (*TOPICS_IN_ORDER, CLOCK)


def engines(policy: Policy, count: int) -> list[ShardEngine]:
    """Return new engines, one a shard."""
    return [ShardEngine(load(), policy, Shard(number, count)) for number in range(count)]


def applied(shards: list[ShardEngine], records: list[Record], batch_id: int) -> list[Outcome]:
    """Apply a batch to the shards that read its records."""
    routed: list[list[Record]] = [[] for _ in shards]
    for record in records:
        for number in shards_of(record, len(shards)):
            routed[number].append(record)
    return [shard.process(some, batch_id) for shard, some in zip(shards, routed, strict=True)]


@dataclass
class MarginStream:
    """The stream. held: partitions that it does not see for now; batches: the boundaries of each begun."""

    topics: Topics
    processes: Processes
    policy: Policy
    shard_count: int
    save_every: int
    held: set[tuple[str, int]] = field(default_factory=set)
    batches: list[_Ends] = field(default_factory=list)
    has_died: bool = False
    _finished: int = 0
    _saved: tuple[int, list[bytes]] | None = None
    _shards: list[ShardEngine] = field(default_factory=list)

    def is_behind(self) -> bool:
        """Report whether a batch is in flight or records wait for one."""
        return self._finished < len(self.batches) or self._ends() != self._last()

    def run_batch(self) -> None:
        """Run the batch that is in flight, else the next one; none where nothing came."""
        if not self._shards:
            self._recover()
        if self._finished == len(self.batches):
            ends = self._ends()
            if ends == self._last():
                return
            self.topics.append(CLOCK, None, None)
            self.batches.append(ends | {(CLOCK, 0): len(self.topics.partitions(CLOCK)[0])})
        number = self._finished
        outcomes = applied(self._shards, self.records_of(number), number)
        self._publish(outcomes)
        self._finished = number + 1
        if self._finished % self.save_every == 0:
            self.processes.reach("before it saves its state")
            self._saved = (
                self._finished,
                [
                    b"".join(bytes(piece) for piece in durable_state.dump(shard.to_state()))
                    for shard in self._shards
                ],
            )

    def forget(self) -> None:
        """Lose what is in memory: the process is gone."""
        self._shards, self.has_died = [], True

    def standing(self) -> list[ShardEngine]:
        """Return the shards as they stand."""
        if not self._shards:
            self._recover()
        return self._shards

    def records_of(self, number: int) -> list[Record]:
        """Return the records of a batch."""
        before = self.batches[number - 1] if number else {}
        return [
            record
            for (topic, partition), end in self.batches[number].items()
            for record in self.topics.partitions(topic)[partition][before.get((topic, partition), 0) : end]
        ]

    def _recover(self) -> None:
        self._shards, first = engines(self.policy, self.shard_count), 0
        if self._saved is not None:
            first, states = self._saved
            for shard, state in zip(self._shards, states, strict=True):
                shard.restore(durable_state.parse(state))
        for number in range(first, self._finished):
            applied(self._shards, self.records_of(number), number)

    def _publish(self, outcomes: list[Outcome]) -> None:
        bus = Connection(self.topics, self.processes)
        for outcome in outcomes:
            _produce(bus, MARGIN_STATUS, outcome.status)
            for letter in outcome.dead:
                bus.produce(DEAD_LETTER, letter)
        bus.flush()
        for outcome in outcomes:
            _produce(bus, MARGIN_CALC, outcome.calc)
        bus.flush()

    def _last(self) -> _Ends:
        last = self.batches[-1] if self.batches else {}
        return {place: last.get(place, 0) for place in self._ends()}

    def _ends(self) -> _Ends:
        last = self.batches[-1] if self.batches else {}
        return {
            (topic, number): last.get((topic, number), 0) if (topic, number) in self.held else len(log)
            for topic in TOPICS_IN_ORDER
            for number, log in enumerate(self.topics.partitions(topic))
        }


def _produce(bus: Connection, topic: str, messages: Messages) -> None:
    for key, text in zip(messages.keys, messages.texts, strict=True):
        bus.produce_raw(topic, text, key)
