"""A shard's state in Spark's store, as one map: each further one costs every batch a round trip to the JVM.

meta: where the rest stands. log: a batch's records since the snapshot, with what their evaluation left
behind. base: the snapshot in chunks, as text, which Spark hands to Python two to three times as fast as
bytes.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle
from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType

from margin_platform import durable_state

VARIABLE = "state"
META = "meta"
_LOG, _BASE = "log", "base"
# Types, not texts: a text goes to the JVM to be parsed, with every batch.
_KEY = StructType(
    [StructField("part", StringType()), StructField("batch", LongType()), StructField("chunk", LongType())]
)
_VALUE = StructType([StructField("blob", BinaryType()), StructField("text", StringType())])


class Meta(NamedTuple):
    """The shard's version, and where its state stands; -1: none.

    base: batch of the snapshot, in `chunks`; first: the oldest batch of the log; pending: batch of the
    snapshot being written, `written` chunks of it so far; policy, since: the policy's version, and the first
    batch under it; of: how many shards there are; format: of its snapshots and its log.
    """

    batch: int = -1
    base: int = -1
    chunks: int = 0
    first: int = 0
    pending: int = -1
    written: int = 0
    policy: str = ""
    since: int = -1
    of: int = 1
    format: str = durable_state.FORMAT


def meta_of(text: str) -> Meta:
    """Return what the text of the part META says."""
    return Meta(*json.loads(text))


class ShardState:
    """What Spark keeps of the shard whose records are being handled."""

    def __init__(self, handle: StatefulProcessorHandle) -> None:
        self._cells = handle.getMapState(VARIABLE, _KEY, _VALUE)

    def meta(self) -> Meta | None:
        """Return where it stands, None before the first batch."""
        found = self._cells.getValue((META, 0, 0))
        return None if found is None else meta_of(str(found[1]))

    def put_meta(self, meta: Meta) -> None:
        """Say where it stands."""
        self._cells.updateValue((META, 0, 0), (None, json.dumps(meta)))

    def logged(self, batch: int) -> bytes | None:
        """Return what was logged of a batch, None where the shard had no record in it."""
        found = self._cells.getValue((_LOG, batch, 0))
        return None if found is None else bytes(found[0])

    def put_log(self, batch: int, packed: bytes) -> None:
        """Log a batch."""
        self._cells.updateValue((_LOG, batch, 0), (packed, None))

    def drop_log(self, batch: int) -> None:
        """Drop a batch of the log."""
        self._cells.removeKey((_LOG, batch, 0))

    def chunks(self, base: int, count: int) -> list[bytes]:
        """Return a snapshot's chunks. Each is unpacked while the JVM gets the next one ready."""
        with ThreadPoolExecutor(1) as beside:
            given = [beside.submit(unpacked, self._text(base, number)) for number in range(count)]
            return [one.result() for one in given]

    def _text(self, base: int, number: int) -> str:
        found = self._cells.getValue((_BASE, base, number))
        assert found is not None, "the store lost a part of a shard's state"
        return str(found[1])

    def put_chunk(self, base: int, number: int, chunk: bytes) -> None:
        """Write a chunk of a snapshot."""
        self._cells.updateValue((_BASE, base, number), (None, _packed(chunk)))

    def drop_chunk(self, base: int, number: int) -> None:
        """Drop a chunk of a snapshot."""
        self._cells.removeKey((_BASE, base, number))


def _packed(chunk: bytes) -> str:
    """Return a chunk of a snapshot as text: its size in four bytes, and the chunk compressed."""
    import pyarrow as pa  # what only opens the state does without: see `making`

    return base64.b64encode(len(chunk).to_bytes(4) + pa.compress(chunk, "zstd", asbytes=True)).decode()


def unpacked(text: str) -> bytes:
    """Return the chunk that a text holds."""
    import pyarrow as pa

    packed = base64.b64decode(text)
    chunk: bytes = pa.decompress(packed[4:], int.from_bytes(packed[:4]), "zstd", asbytes=True)
    return chunk
