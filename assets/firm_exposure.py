"""The table of the firm's exposure and loss, one row per scenario and sweep, and what must hold in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assets.keys import FIRM_EXPOSURE as KEY
from assets.keys import MARGIN_SNAPSHOTS
from assets.table_checks import asset_spec, freshness_check, rule_check
from spark.tables.schemas import FIRM_EXPOSURE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

SPEC = asset_spec(
    KEY,
    FIRM_EXPOSURE_COLUMNS,
    deps=[MARGIN_SNAPSHOTS],
    group="firm",
    description=(
        "Beta-weighted exposure of all accounts and, per SPY scenario, the firm's loss: what clients owe "
        "beyond equity."
    ),
    warn_minutes=10,
    fail_minutes=60,
)


def with_unknown_or_negative_loss(rows: pd.DataFrame) -> pd.DataFrame:
    """Select rows whose firm loss is unknown or negative: it is what customers cannot pay, never a gain."""
    return rows[
        rows["firm_loss"].isna() | (rows["firm_loss"] < 0) | rows["firm_beta_weighted_exposure"].isna()
    ]


CHECKS = [
    rule_check(
        KEY,
        "firm_losses_are_known_and_not_negative",
        ["scenario", "firm_loss", "firm_beta_weighted_exposure"],
        with_unknown_or_negative_loss,
        "Each scenario has an exposure and a loss, and no loss is below zero.",
    ),
    freshness_check(KEY, "timestamp", max_age_seconds=3600),
]
