"""The Delta tables by one plain query: topics of figures, read, sampled and appended on the executors.

Each table has the newest row of its key in a batch, once: see `append`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql.streaming import StreamingQuery

from margin_platform.settings import QUERY_OF_WORKER
from margin_platform.table_storage import storage_options
from spark import kafka_source
from spark.account_shards.query import Place
from spark.tables import rows
from spark.tables.append import APPENDED, Target, append
from spark.tables.schemas import TABLES, Table

log = logging.getLogger("spark.driver")
_LONGEST_TEXT = 500
_MOST_RECORDS = 200_000  # of a batch: at the open a shard publishes ten thousands of figures a second
_QUERY_ID = "sql.streaming.queryId"


def start(place: Place, folder: str, *, trigger_ms: int = 10_000) -> StreamingQuery:
    """Start the query of the tables below a folder or URL; a checkpoint moves it on."""
    topics = [table.topic for table in TABLES]
    read = kafka_source.stream(
        place.session, place.bootstrap, topics, place.security, may_miss=True, most=_MOST_RECORDS
    )
    return (
        read.writeStream.queryName("tables")
        .option("checkpointLocation", f"{place.checkpoint.rstrip('/')}/tables")
        .trigger(processingTime=f"{trigger_ms} milliseconds")
        .foreachBatch(Appends(folder))
        .start()
    )


class NotAppended(RuntimeError):
    """A batch that a table did not take."""


def _query_of(batch: DataFrame) -> str:
    found = batch.sparkSession.sparkContext.getLocalProperty(_QUERY_ID)
    assert found is not None, "not inside a streaming query"
    return found


class Appends:
    """What appends a batch to the tables below a folder or URL. query_of: the id of a batch's query."""

    def __init__(self, folder: str, query_of: Callable[[DataFrame], str] = _query_of) -> None:
        self._folder, self._query_of = folder.rstrip("/"), query_of
        self._targets: list[Target] = []

    def __call__(self, batch: DataFrame, number: int) -> None:
        """Append a batch.

        Spark looks in an error's text for what a stop interrupted, by a pattern that overflows the stack over
        a Java trace; then that is all that is seen. So the error is raised in few words, and logged whole.
        """
        query = self._query_of(batch)
        try:
            self._targets = self._targets or [_target(table, self._folder, query) for table in TABLES]
            self._append(batch, query, number)
        except Exception as error:
            log.exception("tables: batch %d was not appended", number)
            of = f"{type(error).__module__}.{type(error).__name__}"  # by it Spark knows an interrupted call
            raise NotAppended(f"batch {number}: {of}: {str(error)[:_LONGEST_TEXT]}") from None

    def _append(self, batch: DataFrame, query: str, number: int) -> None:
        # Python workers of its own: one that has a shard would build its engine again
        batch.sparkSession.sparkContext.environment[QUERY_OF_WORKER] = "tables"
        # one task: the other slots of this machine go on with the margins meanwhile
        given = batch.select("topic", "value").coalesce(1)
        given.mapInArrow(partial(append, self._targets, query, number), APPENDED).collect()


def _target(table: Table, folder: str, query: str) -> Target:
    uri = f"{folder}/{table.name}"
    return Target(table, uri, base_of(uri, query), storage_options(uri))


def base_of(uri: str, query: str) -> int:
    """Return what to add to a query's batch numbers so that they go on where a table's end."""
    storage = storage_options(uri)
    if not DeltaTable.is_deltatable(uri, storage):
        return 0
    table = DeltaTable(uri, storage_options=storage)
    found = pa.table(table.get_add_actions(flatten=True))
    newest_batch = max((n for n in found[f"max.{rows.BATCH}"].to_pylist() if n is not None), default=-1)
    written = table.transaction_version(query)
    return newest_batch + 1 if written is None else newest_batch - written
