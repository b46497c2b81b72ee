"""The process that a session's Python workers are forked from: `spark.python.daemon.module`.

It reads a shard's records by columns, and has the kernel loaded, so that a worker that takes the place of a
lost one need not import it.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyspark import daemon
from pyspark.sql.pandas.serializers import ArrowStreamSerializer, TransformWithStateInPySparkRowSerializer
from pyspark.sql.streaming.stateful_processor_util import TransformWithStateInPandasFuncMode as Mode

from margin_platform.settings import query_of_worker

OPTIONS = {
    "spark.python.daemon.module": __name__,
    # Over TCP a task waits 40 ms for its first rows: the JVM's socket holds back what it writes after the
    # command until that is acknowledged (Nagle), which Linux delays.
    "spark.python.unix.domain.socket.enabled": "true",
}
_LOADED = {  # by query, before its first worker
    "margin_snapshots": ("pyspark.worker", "spark.account_shards.engines")
}
_Keyed = tuple[tuple[int], pa.RecordBatch]


def by_key(batches: Iterable[pa.RecordBatch], key: int) -> Iterator[_Keyed]:
    """Return the parts of batches whose rows have one key, which is a column of whole numbers, with it."""
    for batch in batches:
        if not batch.num_rows:
            continue
        keys = batch.column(key).to_numpy()
        cuts = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)]
        for start, end in pairwise(cuts):
            yield (int(keys[start]),), batch.slice(start, end - start)


def _load_stream(self: Any, stream: IO[bytes]) -> Iterator[tuple[Mode, Any, Any]]:
    """Hand on the columns of each key's rows, in the place of `load_stream` of the serializer.

    pyspark 4.2.0 makes a Row of each, cell by cell, which is a quarter of a worker's time at the open.
    """
    (key,) = self.key_offsets
    batches = ArrowStreamSerializer.load_stream(self, stream)
    for found, parts in groupby(by_key(batches, key), key=itemgetter(0)):
        yield Mode.PROCESS_DATA, found, map(itemgetter(1), parts)
    yield Mode.PROCESS_TIMER, None, None
    yield Mode.COMPLETE, None, None


def main(manage: Callable[[], None] = daemon.manager) -> None:
    """Load what the query's workers need, then fork one whenever Spark asks."""
    setattr(TransformWithStateInPySparkRowSerializer, "load_stream", _load_stream)  # noqa: B010
    for name in _LOADED.get(query_of_worker(), ()):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a worker would copy the pages that it shares
    manage()


if __name__ == "__main__":
    main()
