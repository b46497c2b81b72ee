"""Records of figures as rows of the tables.

The JSON is read by columns: Spark's own reader takes an executor more time than a shard took to compute the
figures.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as columnar

from spark.tables.schemas import Table

BATCH = "batch_id"  # the one column that no record has
_ROW = "row"


def newest(table: Table, read: Sequence[pa.Table]) -> pa.Table:
    """Return the newest row of each key among what `events` read of a table's topic, in its order."""
    rows = pa.concat_tables([_columns(table).empty_table(), *read])
    for name in table.key:
        rows = rows.filter(pc.is_valid(rows[name]))
    numbered = rows.append_column(_ROW, pa.array(range(len(rows)), pa.int64()))
    last = numbered.group_by(list(table.key)).aggregate([(_ROW, "max")])[f"{_ROW}_max"]
    return rows.take(last)


def events(table: Table, texts: pa.BinaryArray) -> pa.Table:
    """Return texts of a table's topic as its columns, without the batch. What is no event is left out."""
    return _events(texts, _columns(table))


def _columns(table: Table) -> pa.Schema:
    return pa.schema([field for field in table.columns if field.name != BATCH])


def _events(texts: pa.BinaryArray, columns: pa.Schema) -> pa.Table:
    """Read texts; one that cannot be read makes all unreadable, so halves are read until it is alone."""
    lines = b"\n".join(text for text in texts.to_pylist() if text)
    if not lines:
        return columns.empty_table()
    asked = columnar.ParseOptions(explicit_schema=columns, unexpected_field_behavior="ignore")
    at_once = columnar.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    try:
        return columnar.read_json(io.BytesIO(lines), at_once, asked)
    except pa.ArrowInvalid:
        half = len(texts) // 2
        if not half:
            return columns.empty_table()
        return pa.concat_tables([_events(texts[:half], columns), _events(texts[half:], columns)])
