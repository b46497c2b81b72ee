"""What an executor's Python worker does with a batch of the tables' query: read its records, and append.

An append carries the query's id and the batch's number as a Delta transaction. A batch that is repeated finds
it, and one that is done twice at once is refused, so that every row is there once. `deltalake` appends in
tens of milliseconds; the JVM's writer takes a second or more of a core for a few thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from spark.tables import rows
from spark.tables.schemas import Table

APPENDED = "table string, rows long"  # what `append` says of each table


@dataclass(frozen=True)
class Target:
    """A table and where it is. base: what is added to a batch's number; storage: how the place is reached."""

    table: Table
    uri: str
    base: int
    storage: Mapping[str, str]

    def append(self, found: pa.Table, query: str, number: int) -> int:
        """Append the rows of a query's batch once; return how many."""
        if not len(found):
            return 0  # nothing of the contract: the table's newest batch stays its transaction's
        storage, there = dict(self.storage), None
        if DeltaTable.is_deltatable(self.uri, storage):
            there = DeltaTable(self.uri, storage_options=storage)
            written = there.transaction_version(query)
            if written is not None and written >= number:
                return 0
        batch = pa.array([self.base + number] * len(found), pa.int64())
        whole = found.append_column(rows.BATCH, batch).select(self.table.columns.names)
        mark = CommitProperties(app_transactions=[Transaction(app_id=query, version=number)])
        write_deltalake(
            there or self.uri, whole, mode="append", commit_properties=mark, storage_options=storage
        )
        return len(whole)


def append(
    targets: Sequence[Target], query: str, number: int, records: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Append the newest row of each key to each table; yield how many rows each got.

    records: topic and value of all records of the batch, those of a partition in their order.
    """
    read: list[list[pa.Table]] = [[] for _ in targets]
    for batch in records:  # the texts of one at a time: they are ten times as large as the columns
        for target, events in zip(targets, read, strict=True):
            of_topic = batch.filter(pc.equal(batch["topic"], target.table.topic))
            events.append(rows.events(target.table, of_topic.column("value")))
    appended = [
        target.append(rows.newest(target.table, events), query, number)
        for target, events in zip(targets, read, strict=True)
    ]
    yield pa.record_batch({"table": [target.table.name for target in targets], "rows": appended})
