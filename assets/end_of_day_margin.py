"""The book at each day's close: every account's last snapshot before 16:00 New York, a day a partition.

Batch, with Spark.
"""

import datetime as dt
from typing import TYPE_CHECKING

import dagster as dg

from assets.keys import MARGIN_SNAPSHOTS
from assets.table_checks import OWNER
from resources.spark_session import BatchSpark
from resources.tables import TablesResource

# Spark and the exchange's calendar are imported by the run, not with the code location.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLE = "end_of_day_margin"
DAYS = dg.DailyPartitionsDefinition(start_date="1990-01-02", timezone="America/New_York")
# It does not wait for a snapshot newer than that, as `on_cron` by itself does: at night the streams report
# nothing, and the desk needs the day before the next opening.
_CRON = ("10 0 * * *", "America/New_York")
AFTER_MIDNIGHT = (
    dg.AutomationCondition.on_cron(*_CRON).without(dg.AutomationCondition.all_deps_updated_since_cron(*_CRON))
    & ~dg.AutomationCondition.any_deps_missing()
).with_label("at 00:10 New York, for the day before, once there are snapshots")


def close_of(day: str) -> int:
    """Return the close of a day (YYYY-MM-DD) in epoch milliseconds UTC, early closes included."""
    from margin_platform.trading_time.sessions import close_ms

    return close_ms(dt.date.fromisoformat(day))


def last_before(snapshots: "DataFrame", close_ms: int, day: str) -> "DataFrame":
    """Return each account's newest snapshot of that day up to the close; the later batch wins within a
    millisecond.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    start_ms = close_ms - 24 * 3600 * 1000
    newest_first = Window.partitionBy("account_id").orderBy(
        f.col("calc_timestamp").desc(), f.col("batch_id").desc()
    )
    of_the_day = snapshots.where((f.col("calc_timestamp") > start_ms) & (f.col("calc_timestamp") <= close_ms))
    numbered = of_the_day.withColumn("_n", f.row_number().over(newest_first))
    return numbered.where("_n = 1").drop("_n").withColumn("day", f.lit(day))


def write_day(session: "SparkSession", source: str, target: str, day: str) -> int:
    """Write one day's rows over what the day held before; return how many there are."""
    rows = last_before(session.read.format("delta").load(source), close_of(day), day).cache()
    rows.write.format("delta").mode("overwrite").option("replaceWhere", f"day = '{day}'").partitionBy(
        "day"
    ).save(target)
    return int(rows.count())


@dg.asset(
    deps=[MARGIN_SNAPSHOTS],
    partitions_def=DAYS,
    automation_condition=AFTER_MIDNIGHT,
    group_name="reports",
    kinds={"spark", "deltalake"},
    owners=[OWNER],
    description=(
        "Every account's last margin snapshot of the day before 16:00 New York; the figures a daily margin "
        "report is made of."
    ),
)
def end_of_day_margin(
    context: dg.AssetExecutionContext, batch_spark: BatchSpark, tables: TablesResource
) -> dg.MaterializeResult:
    day = context.partition_key
    rows = write_day(
        batch_spark.spark_session, tables.location("margin_snapshots"), tables.location(TABLE), day
    )
    return dg.MaterializeResult(metadata={"dagster/row_count": rows, "day": day, "close_ms": close_of(day)})


ASSETS = [end_of_day_margin]
