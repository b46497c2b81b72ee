"""Spark, simulated, around the product's engine by account shard.

A batch's boundaries are kept before it runs. The state of the shards is saved every few batches, through its
bytes. After a death the newest state is loaded, batches finished since are applied again silently, and the
one in flight is run again with the same boundaries.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from margin_platform import durable_state
from margin_platform.contracts.messages import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS
from margin_platform.contracts.offsets import Record
from margin_platform.market.instruments import load
from margin_platform.policy.policy import Policy
from margin_platform.simulator.world.processes import Processes
from margin_platform.simulator.world.topics import Connection, Topics
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER
from margin_platform.snapshots.outcome import Outcome
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shards_of

Ends = dict[tuple[str, int], int]  # topic, partition -> next offset
_READ = (*TOPICS_IN_ORDER, CLOCK)


def engines(policy: Policy, count: int) -> list[ShardEngine]:
    """Return new engines, one a shard."""
    return [ShardEngine(load(), policy, Shard(number, count)) for number in range(count)]


def applied(
    shards: list[ShardEngine], records: list[Record], batch_id: int, restated: Collection[int] = ()
) -> list[Outcome]:
    """Apply a batch to the shards that read its records."""
    if batch_id in restated:
        for shard in shards:
            shard.engine.emission.forget_bands()
    routed: list[list[Record]] = [[] for _ in shards]
    for record in records:
        for number in shards_of(record, len(shards)):
            routed[number].append(record)
    return [shard.process(some, batch_id) for shard, some in zip(shards, routed, strict=True)]


@dataclass
class Life:
    """The stream from a rebuild to the next. first: the offsets it begins with; batches: the boundaries of
    each begun; restated: the batches that say where every account stands.
    """

    first: Ends = field(default_factory=dict)
    batches: list[Ends] = field(default_factory=list)
    finished: int = 0
    restated: set[int] = field(default_factory=set)


class RecordsDeleted(RuntimeError):
    """Records were deleted before the stream has read them: Spark refuses to go on (`failOnDataLoss`)."""


@dataclass
class MarginStream:
    """The stream. held: partitions that it does not see for now; lives: those of before a rebuild, and the
    present one.
    """

    topics: Topics
    processes: Processes
    policy: Policy
    shard_count: int
    save_every: int
    held: set[tuple[str, int]] = field(default_factory=set)
    lives: list[Life] = field(default_factory=lambda: [Life()])
    has_died: bool = False
    _saved: tuple[int, list[bytes]] | None = None
    _shards: list[ShardEngine] = field(default_factory=list)

    @property
    def _life(self) -> Life:
        return self.lives[-1]

    def is_behind(self) -> bool:
        """Report whether a batch is in flight or records wait for one."""
        life = self._life
        begun = len(life.batches)
        return life.finished < begun or begun in life.restated or self._ends() != self._last()

    def run_batch(self) -> None:
        """Run the batch that is in flight, else the next one; none where nothing came. RecordsDeleted names
        what is gone.
        """
        life = self._life
        if not self._shards:
            self._recover()
        if life.finished == len(life.batches):
            ends = self._ends()
            if ends == self._last() and len(life.batches) not in life.restated:
                return
            self._check(ends)
            self.topics.append(CLOCK, None, None)
            life.batches.append(ends | {(CLOCK, 0): len(self.topics.partitions(CLOCK)[0])})
        number = life.finished
        self._check(life.batches[number])
        outcomes = applied(self._shards, self.records_of(life, number), number, life.restated)
        self._publish(outcomes)
        life.finished = number + 1
        if life.finished % self.save_every == 0:
            self.processes.reach("before it saves its state")
            self._saved = (
                life.finished,
                [
                    b"".join(bytes(piece) for piece in durable_state.dump(shard.to_state()))
                    for shard in self._shards
                ],
            )

    def forget(self) -> None:
        """Lose what is in memory: the process is gone."""
        self._shards, self.has_died = [], True

    def restate(self) -> None:
        """Start again, and let the next batch say where every account stands."""
        self.forget()
        self._life.restated.add(len(self._life.batches))

    def rebuild(self) -> None:
        """Drop the checkpoint: begin with the oldest records that the topics have."""
        self.forget()
        self._saved = None
        first = {
            (topic, number): self.topics.oldest(topic, number)
            for topic in TOPICS_IN_ORDER
            for number in range(len(self.topics.partitions(topic)))
        }
        self.lives.append(Life(first | {(CLOCK, 0): len(self.topics.partitions(CLOCK)[0])}))

    def standing(self) -> list[ShardEngine]:
        """Return the shards as they stand."""
        if not self._shards:
            self._recover()
        return self._shards

    def records_of(self, life: Life, number: int) -> list[Record]:
        """Return the records of a batch."""
        before = life.batches[number - 1] if number else life.first
        return [
            record
            for (topic, partition), end in life.batches[number].items()
            for record in self.topics.partitions(topic)[partition][before.get((topic, partition), 0) : end]
        ]

    def _check(self, ends: Ends) -> None:
        """Check that what is unfinished up to these offsets is all there."""
        life = self._life
        before = life.batches[life.finished - 1] if life.finished else life.first
        for (topic, partition), end in ends.items():
            first, oldest = before.get((topic, partition), 0), self.topics.oldest(topic, partition)
            if first < min(end, oldest):
                raise RecordsDeleted(f"{topic}[{partition}] {first}-{min(end, oldest)}")

    def _recover(self) -> None:
        self._shards, first = engines(self.policy, self.shard_count), 0
        if self._saved is not None:
            first, states = self._saved
            for shard, state in zip(self._shards, states, strict=True):
                shard.restore(durable_state.parse(state))
        for number in range(first, self._life.finished):
            applied(self._shards, self.records_of(self._life, number), number, self._life.restated)

    def _publish(self, outcomes: list[Outcome]) -> None:
        bus = Connection(self.topics, self.processes)
        for outcome in outcomes:
            bus.produce_many(MARGIN_STATUS, outcome.status.texts, outcome.status.keys)
            for letter in outcome.dead:
                bus.produce(DEAD_LETTER, letter)
        bus.flush()
        for outcome in outcomes:
            bus.produce_many(MARGIN_CALC, outcome.calc.texts, outcome.calc.keys)
        bus.flush()

    def _last(self) -> Ends:
        last = self._standing_at()
        return {place: last.get(place, 0) for place in self._ends()}

    def _ends(self) -> Ends:
        last = self._standing_at()
        return {
            (topic, number): last.get((topic, number), 0) if (topic, number) in self.held else len(log)
            for topic in TOPICS_IN_ORDER
            for number, log in enumerate(self.topics.partitions(topic))
        }

    def _standing_at(self) -> Ends:
        return self._life.batches[-1] if self._life.batches else self._life.first
