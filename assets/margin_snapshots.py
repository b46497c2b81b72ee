"""The table of margin snapshots, one row per account and micro-batch that touched it,
and what must hold in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.keys import MARGIN_SNAPSHOTS as KEY
from assets.keys import topic_key
from assets.table_checks import asset_spec, freshness_check, rule_check
from margin_platform.contracts import messages as e
from margin_platform.contracts.events.figure_names import COMPONENTS
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_SOURCES = (e.PRICES, e.FILLS, e.CASH, e.ACCOUNTS, e.BETAS, e.CORPORATE_ACTIONS, e.VOLATILITY)
_CENTS = 0.05 + 1e-9  # five parts and their sum, each rounded to a cent on its own
SPEC = asset_spec(
    KEY,
    MARGIN_SNAPSHOTS_COLUMNS,
    deps=[topic_key(t) for t in _SOURCES],
    group="margin",
    description=(
        "Each account's equity, requirement by component, excess and status after the micro-batch that "
        "changed it; dollars."
    ),
    warn_minutes=10,
    fail_minutes=60,
)


def valued(rows: pd.DataFrame) -> pd.DataFrame:
    """Select rows whose account could be valued: a stale account has unknown figures, which is not a defect
    of the table.
    """
    return rows[~rows["stale"].fillna(True).astype(bool)]


def with_unknown_figures(rows: pd.DataFrame) -> pd.DataFrame:
    """Select rows marked as valued with a figure missing."""
    return rows[
        ~rows["stale"].fillna(True).astype(bool)
        & rows[["equity", "requirement", "excess"]].isna().any(axis=1)
    ]


def with_negative_requirement(rows: pd.DataFrame) -> pd.DataFrame:
    known = valued(rows)
    return known[(known["requirement"] < 0) | (known["maintenance_req"] < 0)]


def whose_parts_do_not_add_up(rows: pd.DataFrame) -> pd.DataFrame:
    """Select rows whose maintenance requirement is not the sum of its components, to the cents lost in
    rounding."""
    known = valued(rows)
    gap = known[list(COMPONENTS)].sum(axis=1, min_count=len(COMPONENTS)) - known["maintenance_req"]
    return known[~(gap.abs() <= _CENTS)]


CHECKS = [
    rule_check(
        KEY,
        "valued_accounts_have_every_figure",
        ["account_id", "stale", "equity", "requirement", "excess"],
        with_unknown_figures,
        "An account that could be valued has equity, requirement and excess.",
    ),
    rule_check(
        KEY,
        "requirements_are_not_negative",
        ["account_id", "stale", "requirement", "maintenance_req"],
        with_negative_requirement,
        "No requirement of an account that could be valued is below zero.",
    ),
    rule_check(
        KEY,
        "components_sum_to_the_requirement",
        ["account_id", "stale", "maintenance_req", *COMPONENTS],
        whose_parts_do_not_add_up,
        "The five components sum to maintenance_req, to the cents lost in rounding.",
    ),
    freshness_check(KEY, "calc_timestamp", max_age_seconds=3600),
]
