"""The Delta tables by one plain query: topics of figures, read, sampled and appended on the executors.

Each table has the newest row of its key in a batch. A batch that is repeated is known by its transaction (the
query's id and the batch's number), so that every row is there once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql.functions import col, from_json, lit, max_by
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, VOLATILITY
from margin_platform.table_storage import storage_options
from spark import kafka_source
from spark.account_shards.query import Place
from spark.session import DELTA
from spark.tables.schemas import FIRM_EXPOSURE_COLUMNS, MARGIN_SNAPSHOTS_COLUMNS, VOLATILITY_COLUMNS

WRITES_DELTA = DELTA | {
    # its default of 50 partitions is for tables with thousands of files a commit
    "spark.databricks.delta.snapshotPartitions": "1"
}
log = logging.getLogger("spark.driver")
_LONGEST_TEXT = 500
_BATCH = "batch_id"
_QUERY_ID = "sql.streaming.queryId"


@dataclass(frozen=True)
class Table:
    """A table, the topic it is of, and the columns that name one thing."""

    name: str
    topic: str
    columns: pa.Schema
    key: tuple[str, ...]


TABLES = (
    Table("margin_snapshots", MARGIN_CALC, MARGIN_SNAPSHOTS_COLUMNS, ("account_id",)),
    Table("volatility", VOLATILITY, VOLATILITY_COLUMNS, ("symbol", "as_of")),
    Table("firm_exposure", FIRM_RISK, FIRM_EXPOSURE_COLUMNS, ("scenario",)),
)


def start(place: Place, folder: str, *, trigger_ms: int = 10_000) -> StreamingQuery:
    """Start the query of the tables below a folder or URL; a checkpoint moves it on."""
    topics = [table.topic for table in TABLES]
    read = kafka_source.stream(place.session, place.bootstrap, topics, place.security, may_miss=True)
    appends = [Appends(table, f"{folder.rstrip('/')}/{table.name}") for table in TABLES]

    return (
        read.writeStream.queryName("tables")
        .option("checkpointLocation", f"{place.checkpoint.rstrip('/')}/tables")
        .trigger(processingTime=f"{trigger_ms} milliseconds")
        .foreachBatch(partial(append_all, appends))
        .start()
    )


class NotAppended(RuntimeError):
    """A batch that a table did not take."""


def append_all(appends: Sequence[Callable[[DataFrame, int], None]], batch: DataFrame, number: int) -> None:
    """Append a batch to each table.

    Spark looks in an error's text for what a stop interrupted, by a pattern that overflows the stack over a
    Java trace; then that is all that is seen. So the error is raised in few words: the log has them all.
    """
    try:
        for append in appends:
            append(batch, number)
    except Exception as error:
        log.exception("tables: batch %d was not appended", number)
        of = f"{type(error).__module__}.{type(error).__name__}"  # by it Spark knows an interrupted call
        raise NotAppended(f"batch {number}: {of}: {str(error)[:_LONGEST_TEXT]}") from None


def newest(records: DataFrame, table: Table) -> DataFrame:
    """Return the newest row of each key among records of a topic; what is no such event is left out."""
    columns = pa.schema([field for field in table.columns if field.name != _BATCH])
    event = from_json(col("value").cast("string"), from_arrow_schema(columns))
    of_topic = records.where(col("topic") == table.topic)
    rows = of_topic.select(event.alias("event"), "offset").select("event.*", "offset", "event")
    known = rows.dropna(subset=list(table.key))
    return known.groupBy(*table.key).agg(max_by("event", "offset").alias("event")).select("event.*")


def _query_of(batch: DataFrame) -> str:
    found = batch.sparkSession.sparkContext.getLocalProperty(_QUERY_ID)
    assert found is not None, "not inside a streaming query"
    return found


class Appends:
    """What appends a batch to one table. query_of: the id of a batch's query."""

    def __init__(self, table: Table, uri: str, query_of: Callable[[DataFrame], str] = _query_of) -> None:
        self._table, self._uri, self._query_of = table, uri, query_of
        self._base: int | None = None

    def __call__(self, batch: DataFrame, number: int) -> None:
        query = self._query_of(batch)
        if self._base is None:
            self._base = base_of(self._uri, query)
        # one task: the other slots of this machine go on with the margins meanwhile
        rows = newest(batch.coalesce(1), self._table)
        numbered = rows.withColumn(_BATCH, lit(self._base + number).cast("long"))
        ordered = numbered.select(*(field.name for field in self._table.columns)).coalesce(1).persist()
        try:  # nothing of the contract: the table's newest batch stays its transaction's
            if not ordered.isEmpty():
                writer = ordered.write.format("delta").mode("append")
                writer.option("txnAppId", query).option("txnVersion", number).save(self._uri)
        finally:
            ordered.unpersist()


def base_of(uri: str, query: str) -> int:
    """Return what to add to a query's batch numbers so that they go on where a table's end."""
    storage = storage_options(uri)
    if not DeltaTable.is_deltatable(uri, storage):
        return 0
    table = DeltaTable(uri, storage_options=storage)
    found = pa.table(table.get_add_actions(flatten=True))
    newest_batch = max((n for n in found[f"max.{_BATCH}"].to_pylist() if n is not None), default=-1)
    written = table.transaction_version(query)
    return newest_batch + 1 if written is None else newest_batch - written
