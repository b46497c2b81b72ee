"""The Delta tables as a Dagster resource, read without Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from margin_platform import table_storage
from margin_platform.table_storage import storage_options

# Imported by the checks and reports that read a table, not with the code location.
if TYPE_CHECKING:
    import pandas as pd
    from deltalake import DeltaTable


class MissingTable(LookupError):
    """The table has not been written yet; the message names where it was looked for."""


class TablesResource(dg.ConfigurableResource):
    """The folder (or URL) of the tables."""

    folder: str = Field(default="", description="empty takes MARGIN_TABLES")

    def location(self, table: str) -> str:
        return table_storage.location(table, self.folder)

    def open(self, table: str) -> DeltaTable:
        """Open the table as of now. MissingTable where nothing was written yet."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        where = self.location(table)
        try:
            return DeltaTable(where, storage_options=storage_options(where))
        except TableNotFoundError as error:
            raise MissingTable(f"no table {table} at {where}") from error

    def frame(self, table: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the table's rows, all columns or these."""
        return self.open(table).to_pandas(columns=None if columns is None else list(columns))

    def newest(self, table: str, column: str) -> int | None:
        """Return the largest whole number in a column, from the statistics of the table's files; None where
        there is no row.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        files = pa.table(self.open(table).get_add_actions(flatten=True))
        largest = f"max.{column}"
        return pc.max(files[largest]).as_py() if largest in files.column_names else None
