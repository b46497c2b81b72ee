"""The streams' tables: Delta Lake, appended to from the driver without a Spark job (about 30 ms against
seconds).

An append carries the stream's name and its batch as a Delta transaction, so that after a crash the rows
already written are known and left out. Readers: pandas and DuckDB through `deltalake`, Spark through Delta
Lake's own source.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.json
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from margin_platform.table_storage import storage_options

log = logging.getLogger(__name__)
_BLOCK_BYTES = 8 << 20  # of JSON that are read at once; a row of more is refused
_APPENDS = 1 << 20  # appends of one batch that can be distinguished in the table's transaction number


class TableSink:
    """One table of one stream."""

    def __init__(self, tables: str, name: str, schema: pa.Schema) -> None:
        self.uri = f"{tables.rstrip('/')}/{name}"
        self.name = name
        self._schema = schema
        self._parsing = pa.json.ParseOptions(schema, unexpected_field_behavior="ignore")
        self._reading = pa.json.ReadOptions(block_size=_BLOCK_BYTES)
        self._storage = storage_options(self.uri)

    def append(self, rows: Sequence[bytes], batch_id: int) -> None:
        """Append rows, JSON objects, of batches up to one, which only grows; several appends of one batch are
        numbered.

        Fields that are no column are passed over; a column that a row lacks is null there.
        """
        written = self._version()
        version = written + 1 if written // _APPENDS == batch_id else batch_id * _APPENDS
        mark = CommitProperties(app_transactions=[Transaction(app_id=self.name, version=version)])
        table = pa.json.read_json(io.BytesIO(b"\n".join(rows)), self._reading, self._parsing)
        table = table.select(self._schema.names)
        write_deltalake(self.uri, table, mode="append", commit_properties=mark, storage_options=self._storage)
        log.info("table %s: %d rows up to batch %d", self.name, len(rows), batch_id)

    def written_batch(self) -> int:
        """Return the newest batch in the table; -1 where there is none.

        Every row gathered by then of it and of earlier ones is there.
        """
        version = self._version()
        return -1 if version < 0 else version // _APPENDS

    def keys_of(self, batch_id: int, key: str) -> set[str]:
        """Return the values of a column in the rows of one batch."""
        if self._version() < 0:
            return set()
        found = DeltaTable(self.uri, storage_options=self._storage).to_pandas(
            columns=[key], filters=[("batch_id", "=", batch_id)]
        )
        return set(found[key])

    def _version(self) -> int:
        if not DeltaTable.is_deltatable(self.uri, self._storage):
            return -1
        found = DeltaTable(self.uri, storage_options=self._storage).transaction_version(self.name)
        return -1 if found is None else int(found)
