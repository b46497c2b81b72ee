"""The table of 30-day volatilities, one row per symbol and session, and what must hold in it."""

from __future__ import annotations

from assets.keys import VOLATILITY_TABLE, topic_key
from assets.table_checks import asset_spec, rule_check
from margin_platform.contracts import messages as e
from spark.tables.schemas import VOLATILITY_COLUMNS

SPEC = asset_spec(
    VOLATILITY_TABLE,
    VOLATILITY_COLUMNS,
    deps=[topic_key(e.PRICES), topic_key(e.CORPORATE_ACTIONS)],
    group="volatility",
    description=(
        "Annualized historical volatility of each symbol over its last 30 sessions (0.4 is 40%), with the "
        "sessions used."
    ),
    warn_minutes=36 * 60,
    fail_minutes=96 * 60,
)
CHECKS = [
    rule_check(
        VOLATILITY_TABLE,
        "volatilities_are_numbers_not_negative",
        ["symbol", "volatility_annual"],
        lambda rows: rows[rows["volatility_annual"].isna() | (rows["volatility_annual"] < 0)],
        "Each volatility is a number and not below zero.",
    ),
    rule_check(
        VOLATILITY_TABLE,
        "each_symbol_stands_once_per_time",
        ["symbol", "timestamp", "batch_id"],
        # a later batch may correct a session
        lambda rows: rows[rows.duplicated(["symbol", "timestamp", "batch_id"])],
        "A symbol has one volatility for a time in a batch.",
    ),
]
