"""How the tables' asset specs and checks are made:
every table shows its columns, its owner and how old it may be.

A check passes only on evidence: an empty or missing table fails, as does a single row that breaks the rule.
The rows that break it are counted and a few are shown. A row that passed is not read again, for the tables
grow without end: a check reads on from the batch up to which it last passed, so that one that fails goes on
failing until the row is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from assets.presentation import links
from assets.presentation.columns import COLUMN_TEXTS, lineage
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.event_clock import event_time
from margin_platform.orchestration.dagster_internals import AssetCheckExecutionRecordStatus
from resources.kafka import KafkaResource
from resources.tables import MissingTable, TablesResource

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

OWNER = "team:risk"
_SHOWN = 5
_BATCH = "batch_id"  # grows from append to append; the newest may still gain rows
_TABLE, _UP_TO = "table_id", "up_to_batch"


def asset_spec(
    key: dg.AssetKey,
    schema: "pa.Schema",
    *,
    deps: Sequence[dg.AssetKey],
    group: str,
    description: str,
    warn_minutes: int,
    fail_minutes: int,
) -> dg.AssetSpec:
    """Describe a table written by a stream: its columns, kinds and owner, and after how many minutes without
    a report it is late.
    """
    columns = [dg.TableColumn(field.name, str(field.type), COLUMN_TEXTS[field.name]) for field in schema]
    return dg.AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name=group,
        kinds={"spark", "deltalake"},
        owners=[OWNER],
        skippable=True,
        metadata={
            "dagster/column_schema": dg.TableSchema(columns=columns),
            "dagster/column_lineage": lineage(key),
            "dagster/table_name": key.to_user_string(),
            **links.of_a_table(),
        },
        freshness_policy=dg.FreshnessPolicy.time_window(
            fail_window=timedelta(minutes=fail_minutes), warn_window=timedelta(minutes=warn_minutes)
        ),
    )


def verdict(
    rows: "pd.DataFrame", broken: "pd.DataFrame", read: Mapping[str, int | str]
) -> dg.AssetCheckResult:
    """Pass where there are rows and none is broken; `read` names the rows of the table that were checked."""
    metadata: dict[str, int | float | str | dg.MarkdownMetadataValue] = {
        "rows": len(rows),
        "broken": len(broken),
        **read,
    }
    if len(broken):
        metadata["examples"] = dg.MetadataValue.md(broken.head(_SHOWN).to_markdown(index=False))
    if rows.empty:
        metadata["reason"] = "the table has no rows"
    return dg.AssetCheckResult(passed=len(rows) > 0 and broken.empty, metadata=metadata)


def missing(error: MissingTable) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})


def rule_check(
    key: dg.AssetKey,
    name: str,
    columns: Sequence[str],
    broken: "Callable[[pd.DataFrame], pd.DataFrame]",
    description: str,
) -> dg.AssetChecksDefinition:
    """Build a check that no row of these columns breaks a rule; `broken` selects those that do."""

    @dg.asset_check(asset=key, name=name, description=description)
    def check(context: dg.AssetCheckExecutionContext, tables: TablesResource) -> dg.AssetCheckResult:
        try:
            table = tables.open(key.path[-1])
        except MissingTable as error:
            return missing(error)
        identity = str(table.metadata().id)
        since = passed_up_to(context.instance, dg.AssetCheckKey(key, name), identity)
        rows = table.to_pandas(
            columns=list(dict.fromkeys([*columns, _BATCH])), filters=[(_BATCH, ">=", since)]
        )
        read: dict[str, int | str] = (
            {} if rows.empty else {_TABLE: identity, "from_batch": since, _UP_TO: int(rows[_BATCH].max())}
        )
        return verdict(rows, broken(rows), read)

    return check


def passed_up_to(instance: dg.DagsterInstance, check: dg.AssetCheckKey, table: str) -> int:
    """Return the newest batch that was there when the check last passed on the table of this id; 0 where it
    never did.
    """
    passed = {AssetCheckExecutionRecordStatus.SUCCEEDED}
    for record in instance.event_log_storage.get_asset_check_execution_history(check, limit=1, status=passed):
        said = (
            record.event.asset_check_evaluation.metadata
            if record.event and record.event.asset_check_evaluation
            else {}
        )
        if _UP_TO in said and said[_TABLE].value == table:
            return int(said[_UP_TO].value)  # type: ignore[arg-type]
    return 0


def freshness_check(key: dg.AssetKey, column: str, max_age_seconds: float) -> dg.AssetChecksDefinition:
    """Build a check that the table's newest event time is not older than this against the event clock: the
    newest price's time.
    """

    @dg.asset_check(
        asset=key,
        name="keeps_up_with_the_event_clock",
        description=f"The newest row is at most {max_age_seconds:g} s older than the newest price.",
    )
    def check(tables: TablesResource, kafka: KafkaResource) -> dg.AssetCheckResult:
        try:
            newest = tables.newest(key.path[-1], column)
            with kafka.bus() as bus:
                now = event_time(bus)
        except (MissingTable, BrokerUnreachable, LookupError) as error:
            return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})
        if now is None or newest is None:
            return dg.AssetCheckResult(passed=False, metadata={"reason": "no price or no row to compare"})
        age = max(0.0, (now - newest) / 1000)
        return dg.AssetCheckResult(
            passed=bool(age <= max_age_seconds),
            metadata={"age_seconds": age, "allowed_seconds": max_age_seconds},
        )

    return check
