"""An engine inside Spark's state store: the Python worker caches it, the store is the truth.

A snapshot (`base`, see `state`) is taken at one moment and written a chunk a batch. Once it is whole, `meta`
names it and the log before it is dropped. A cached engine counts only at the version of `meta`. Otherwise the
base is read and the log applied again, without valuing an account.
"""

from __future__ import annotations

import gc
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

from pyspark import TaskContext
from pyspark.sql import Row
from pyspark.sql.streaming import StatefulProcessor
from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle, TimerValues
from typing_extensions import override

from margin_platform import durable_state
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import TOPICS
from margin_platform.contracts.offsets import Record
from margin_platform.snapshots.outcome import Messages
from spark.account_shards import placement, snapshot_files
from spark.account_shards.reports import ShardReport, report_of
from spark.account_shards.state import Meta, ShardState

if TYPE_CHECKING:
    import pyarrow as pa  # what only opens the state does without: see `making`

# Messages of one topic: a row of Spark's for each message costs Python more than to make it.
OUTPUT = "topic string, keys array<string>, texts array<binary>"
_AT_ONCE = 1000  # messages of one row
_CHUNK_BYTES = 4 << 20
_BASE_EVERY = 200  # batches between two snapshots
# Input: a record is one column, as each cell of a row takes Python as long as to read a price.
_HEAD = "cast(concat_ws(' ', topic, partition, offset, timestamp) AS binary)"
PACKED = f"CASE WHEN value IS NULL THEN {_HEAD} ELSE concat({_HEAD}, X'0A', value) END AS record"
Published = list[tuple[str, Messages]]  # by topic, decisions first


class Engine(Protocol):
    """What a shard runs: a pure function of its state and its records."""

    def process(self, records: list[Record], batch_id: int) -> Published:
        """Apply a batch's records; return what follows."""

    def effects(self) -> bytes:
        """Return what `replay` needs of the batch that was processed, beside its records."""

    def replay(self, records: list[Record], batch_id: int, effects: bytes) -> None:
        """Apply records again whose events were published."""

    def under_another_policy(self) -> None:
        """Forget what the policy of before decided."""

    @property
    def event_time(self) -> int: ...
    def oldest_input_seconds(self) -> float | None: ...
    def to_state(self) -> dict[str, object]: ...
    def restore(self, state: Json) -> None: ...


@dataclass
class Held:
    """A cached engine, the version it is at, and the snapshot being written."""

    engine: Engine
    version: int = -1
    snapshot: list[list[bytes | memoryview]] = field(default_factory=list, repr=False)  # in chunks
    pending: int = -1
    size: int = 0  # bytes of the newest whole snapshot
    logged: dict[int, int] = field(default_factory=dict)  # bytes of each batch's records since

    @property
    def state_bytes(self) -> int:
        """How large its state in the store is."""
        return self.size + sum(self.logged.values())


_held: dict[tuple[str, int], Held] = {}  # by query and shard, in this Python worker
_built: set[tuple[str, int]] = set()  # of all engines that were ever here


class ShardProcessor(StatefulProcessor):
    """What Spark calls for each shard with records in a batch.

    make: the engine of a shard, by its number, of so many shards; tell: gets what a shard says of itself
    after each batch.
    """

    def __init__(
        self,
        make: Callable[[int], Engine],
        shards: int,
        policy: str,
        tell: Callable[[int, ShardReport], None] = lambda *_: None,
    ) -> None:
        self._make, self._shards, self._policy, self._tell = make, shards, policy, tell
        keys = (*placement.keys(shards), placement.OF_VOLATILITIES)
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._query = uuid4().hex  # engines of an earlier query of the same worker do not count

    @override
    def init(self, handle: StatefulProcessorHandle) -> None:
        """Open the shard's state."""
        self._state = ShardState(handle)

    @override
    def handleInputRows(
        self, key: object, rows: Iterable[pa.RecordBatch], timerValues: TimerValues
    ) -> Iterator[Row]:
        """Apply a batch's records of one shard; yield what it publishes, decisions first.

        rows: by columns, key and record, as `spark.python_workers` hands them on.
        """
        assert isinstance(key, tuple)
        number, batch = self._numbers[int(key[0])], _batch()
        meta = self._state.meta() or Meta(first=batch, of=self._shards)
        _check(meta, self._shards)
        # out of the cache until done: what fails on the way must not be continued from
        held = _held.pop((self._query, number), None)
        cold = held is None or held.version != meta.batch
        if held is None or cold:
            held = None  # its memory goes before the new one needs as much
            held = self._rebuilt(number, meta)
        if meta.policy != self._policy:
            if meta.policy:
                held.engine.under_another_policy()
            meta = meta._replace(policy=self._policy, since=batch)
        given = [packed for columns in rows for packed in _by_columns(columns).column(1).to_pylist()]
        records = [_record(packed) for packed in given]
        published = held.engine.process(records, batch)
        packed = zlib.compress(pickle.dumps((given, held.engine.effects()), protocol=5), 1)
        self._state.put_log(batch, packed)
        held.logged[batch] = len(packed)
        meta = self._snapshot(self._name(number), held, meta._replace(batch=batch))
        self._state.put_meta(meta)
        held.version = batch
        _held[self._query, number] = held
        produced = max((record.timestamp_ms for record in records if record.topic in TOPICS), default=0)
        self._tell(
            number,
            report_of(held.engine, batch, produced, published, cold=cold, state_bytes=held.state_bytes),
        )
        for topic, messages in published:
            yield from _rows(topic, messages)

    def _rebuilt(self, number: int, meta: Meta) -> Held:
        if (self._query, number) in _built:  # else an engine that is held no more would stay for good
            gc.unfreeze()
            gc.collect()
        with ThreadPoolExecutor(1) as beside:  # the engine is made while the store is read
            made = beside.submit(self._make, number)
            here = snapshot_files.read(self._name(number), meta.base) if meta.chunks else None
            raw = here or bytearray().join(self._state.chunks(meta.base, meta.chunks))
        engine, logged = made.result(), dict[int, int]()
        if raw:
            engine.restore(durable_state.parse(raw))
        for batch in range(meta.first, meta.batch + 1):
            if batch == meta.since:  # those before were judged, and published, by another policy
                engine.under_another_policy()
            if (packed := self._state.logged(batch)) is not None:
                given, effects = pickle.loads(zlib.decompress(packed))
                engine.replay([*map(_record, given)], batch, effects)
                logged[batch] = len(packed)
        gc.collect()
        _built.add((self._query, number))
        gc.freeze()  # Spark's Python collects after every task: a second for a million accounts
        return Held(engine, meta.batch, size=len(raw), logged=logged)

    def _name(self, number: int) -> str:
        return f"{self._query}-{number}"

    def _snapshot(self, name: str, held: Held, meta: Meta) -> Meta:
        """Take a snapshot when it is time, or write the next chunk of the one that was taken."""
        if held.pending < 0:
            if meta.batch - max(meta.base, meta.first) < _BASE_EVERY:
                return meta
            for chunk in range(meta.written):  # of a snapshot whose worker ended before it was whole
                self._state.drop_chunk(meta.pending, chunk)
            snapshot_files.drop(name, meta.pending)
            held.snapshot = durable_state.in_chunks(held.engine.to_state(), _CHUNK_BYTES)
            held.pending = meta.batch
            snapshot_files.keep(name, held.pending, held.snapshot)
            return meta._replace(pending=meta.batch, written=0)
        self._state.put_chunk(held.pending, meta.written, b"".join(held.snapshot[meta.written]))
        meta = meta._replace(written=meta.written + 1)
        if meta.written < len(held.snapshot):
            return meta
        for chunk in range(meta.chunks):
            self._state.drop_chunk(meta.base, chunk)
        snapshot_files.drop(name, meta.base)
        for batch in range(meta.first, held.pending + 1):
            self._state.drop_log(batch)
        meta = meta._replace(base=held.pending, chunks=meta.written, first=held.pending + 1)
        held.logged = {batch: size for batch, size in held.logged.items() if batch > held.pending}
        held.size = sum(len(piece) for chunk in held.snapshot for piece in chunk)
        held.snapshot, held.pending = [], -1
        return meta._replace(pending=-1, written=0)

    @override
    def close(self) -> None:
        """Keep nothing open."""


def _check(meta: Meta, shards: int) -> None:
    """Raise StateRefused where this program cannot continue from a shard's state."""
    if meta.of != shards:
        raise durable_state.StateRefused(f"shards: {meta.of} for the life of this checkpoint, value {shards}")
    durable_state.check_format(meta.format)


def _batch() -> int:
    """Return the number of the micro-batch that this task is of."""
    context = TaskContext.get()
    number = None if context is None else context.getLocalProperty("streaming.sql.batchId")
    assert number is not None, "not inside a micro-batch"
    return int(number)


def _by_columns(rows: pa.RecordBatch) -> pa.RecordBatch:
    if isinstance(rows, Row):
        raise TypeError("rows: one by one; the session lacks the options of spark.python_workers")
    return rows


def _record(packed: bytes) -> Record:
    """Return the record that a row's column holds; see `PACKED`."""
    head, has_value, value = packed.partition(b"\n")
    topic, partition, offset, produced = head.split()
    return Record(
        topic.decode(), int(partition), int(offset), None, value if has_value else None, int(produced)
    )


def _rows(topic: str, messages: Messages) -> Iterator[Row]:
    for n in range(0, len(messages), _AT_ONCE):
        some = slice(n, n + _AT_ONCE)
        yield Row(topic=topic, keys=list(messages.keys[some]), texts=list(messages.texts[some]))
