"""How the tables' asset specs and checks are made: every table shows its columns, its owner and how old it may be.

A check passes only on evidence: an empty or missing table fails, as does a single row that breaks the rule. The rows that
break it are counted and a few are shown.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from margin_platform.bus import BrokerUnreachable
from margin_platform.event_clock import event_time
from resources.kafka import KafkaResource
from resources.tables import MissingTable, TablesResource

OWNER = "team:risk"
_SHOWN = 5


def asset_spec(
    key: dg.AssetKey, schema: pa.Schema, *, deps: Sequence[dg.AssetKey], group: str, description: str, warn_minutes: int, fail_minutes: int,
) -> dg.AssetSpec:
    """A table written by a stream: its columns, kinds and owner, and after how many minutes without a report it is late."""
    columns = [dg.TableColumn(field.name, str(field.type)) for field in schema]
    return dg.AssetSpec(
        key, deps=deps, description=description, group_name=group, kinds={"spark", "deltalake"}, owners=[OWNER], skippable=True,
        metadata={"dagster/column_schema": dg.TableSchema(columns=columns), "dagster/table_name": key.to_user_string()},
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(minutes=fail_minutes), warn_window=timedelta(minutes=warn_minutes)
        ),
    )


def verdict(rows: pd.DataFrame, broken: pd.DataFrame) -> dg.AssetCheckResult:
    """Passed where there are rows and none is broken."""
    metadata: dict[str, Any] = {"rows": len(rows), "broken": len(broken)}
    if len(broken):
        metadata["examples"] = dg.MetadataValue.md(broken.head(_SHOWN).to_markdown(index=False))
    if rows.empty:
        metadata["reason"] = "the table has no rows"
    return dg.AssetCheckResult(passed=len(rows) > 0 and broken.empty, metadata=metadata)


def missing(error: MissingTable) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})


def rule_check(
    key: dg.AssetKey, name: str, columns: Sequence[str], broken: Callable[[pd.DataFrame], pd.DataFrame]
) -> dg.AssetChecksDefinition:
    """A check that no row of these columns breaks a rule; `broken` selects those that do."""

    @dg.asset_check(asset=key, name=name)
    def check(tables: TablesResource) -> dg.AssetCheckResult:
        try:
            rows = tables.frame(key.path[-1], columns)
        except MissingTable as error:
            return missing(error)
        return verdict(rows, broken(rows))

    return check


def freshness_check(key: dg.AssetKey, column: str, max_age_seconds: float) -> dg.AssetChecksDefinition:
    """A check that the table's newest event time is not older than this against the event clock: the newest price's time."""

    @dg.asset_check(asset=key, name="keeps_up_with_the_event_clock")
    def check(tables: TablesResource, kafka: KafkaResource) -> dg.AssetCheckResult:
        try:
            newest = tables.frame(key.path[-1], [column])[column].max()
            with kafka.bus() as bus:
                now = event_time(bus)
        except (MissingTable, BrokerUnreachable, LookupError) as error:
            return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})
        if now is None or pd.isna(newest):
            return dg.AssetCheckResult(passed=False, metadata={"reason": "no price or no row to compare"})
        age = max(0.0, (now - int(newest)) / 1000)
        return dg.AssetCheckResult(passed=bool(age <= max_age_seconds), metadata={"age_seconds": age, "allowed_seconds": max_age_seconds})

    return check
