"""Rows of the streams' tables, written without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

from margin_platform.contracts.messages import Event
from margin_platform.table_storage import storage_options


def append(tables: Path | str, name: str, schema: pa.Schema, rows: Sequence[Event]) -> None:
    """Append rows to a table; a column that one lacks is null there, other fields are passed over."""
    uri = f"{tables}/{name}"
    table = pa.Table.from_pylist(list(rows), schema=schema)
    write_deltalake(uri, table, mode="append", storage_options=storage_options(uri))
