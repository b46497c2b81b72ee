"""The streams' tables: their columns, and what each is of."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from margin_platform.contracts.events.figure_names import (
    HELD_TO,
    INITIAL_MARGIN,
    MAINTENANCE,
    MARKET_VALUES,
    NET_VALUES,
    PORTFOLIO_MARGIN,
    RISK,
)
from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, VOLATILITY


def _fields(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


_DOLLARS = (
    "cash",
    *MARKET_VALUES,
    *NET_VALUES,
    *MAINTENANCE,
    *PORTFOLIO_MARGIN,
    *HELD_TO,
    "excess_pct",
    *INITIAL_MARGIN,
    *RISK,
)
_TEXT = ("margin_type", "margin_method", "status", "policy_version", "calc_id")
MARGIN_SNAPSHOTS_COLUMNS = _fields(
    account_id=pa.string(),
    **dict.fromkeys(_DOLLARS, pa.float64()),
    **dict.fromkeys(_TEXT, pa.string()),
    stale=pa.bool_(),
    calc_timestamp=pa.int64(),
    batch_id=pa.int64(),
)
VOLATILITY_COLUMNS = _fields(
    symbol=pa.string(),
    volatility_annual=pa.float64(),
    observations=pa.int64(),
    quality=pa.string(),
    as_of=pa.string(),
    policy_version=pa.string(),
    timestamp=pa.int64(),
    batch_id=pa.int64(),
)
FIRM_EXPOSURE_COLUMNS = _fields(
    scenario=pa.string(),
    move=pa.float64(),
    firm_beta_weighted_exposure=pa.float64(),
    firm_gross_beta_weighted_exposure=pa.float64(),
    firm_total_mv=pa.float64(),
    num_accounts=pa.int64(),
    firm_delta_pnl=pa.float64(),
    firm_loss=pa.float64(),
    calls_expected=pa.int64(),
    breach=pa.bool_(),
    policy_version=pa.string(),
    timestamp=pa.int64(),
    batch_id=pa.int64(),
)


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
