"""The streams' tables: Delta Lake, appended to from the driver without a Spark job (about 30 ms against seconds).

An append carries the stream's name and its batch as a Delta transaction, so that a batch written again after a crash is
known and left out. Readers: pandas and DuckDB through `deltalake`, Spark through Delta Lake's own source.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

log = logging.getLogger(__name__)


class TableSink:
    """One table of one stream."""

    def __init__(self, tables: str, name: str, schema: pa.Schema) -> None:
        self.uri = f"{tables.rstrip('/')}/{name}"
        self.name = name
        self._schema = schema

    def append(self, rows: Sequence[dict[str, Any]], version: int) -> bool:
        """Appends rows once for a version (a batch number that only grows); False where that version is already in the table."""
        if not rows or self.written_version() >= version:
            return False
        columns = {f.name: [row.get(f.name) for row in rows] for f in self._schema}
        table = pa.table(columns, schema=self._schema)
        mark = CommitProperties(app_transactions=[Transaction(app_id=self.name, version=version)])
        write_deltalake(self.uri, table, mode="append", commit_properties=mark)
        log.info("table %s: %d rows of batch %d", self.name, len(rows), version)
        return True

    def written_version(self) -> int:
        """The newest version in the table; -1 where there is none."""
        if not DeltaTable.is_deltatable(self.uri):
            return -1
        found = DeltaTable(self.uri).transaction_version(self.name)
        return -1 if found is None else int(found)


def _fields(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


_MONEY = (
    "cash", "long_mv", "short_mv", "gross_mv", "total_mv", "equity", "base_requirement", "concentration_addon", "volatility_addon",
    "htb_addon", "cap_adjustment", "maintenance_req", "portfolio_margin_req", "margin_savings", "requirement", "excess", "excess_pct",
    "reg_t_excess", "buying_power", "beta_weighted_exposure", "worst_stress",
)
_TEXT = ("margin_type", "margin_method", "status", "policy_version", "calc_id")
MARGIN_SNAPSHOTS = _fields(
    account_id=pa.string(), **dict.fromkeys(_MONEY, pa.float64()), **dict.fromkeys(_TEXT, pa.string()), stale=pa.bool_(),
    calc_timestamp=pa.int64(), batch_id=pa.int64(),
)
VOLATILITY = _fields(
    symbol=pa.string(), volatility_annual=pa.float64(), observations=pa.int64(), quality=pa.string(), as_of=pa.string(),
    policy_version=pa.string(), timestamp=pa.int64(), batch_id=pa.int64(),
)
FIRM_EXPOSURE = _fields(
    scenario=pa.string(), move=pa.float64(), firm_beta_weighted_exposure=pa.float64(), firm_gross_beta_weighted_exposure=pa.float64(),
    firm_total_mv=pa.float64(), num_accounts=pa.int64(), firm_delta_pnl=pa.float64(), firm_loss=pa.float64(), calls_expected=pa.int64(),
    breach=pa.bool_(), policy_version=pa.string(), timestamp=pa.int64(), batch_id=pa.int64(),
)
