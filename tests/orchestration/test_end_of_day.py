"""The day's close with real Spark and real Delta tables:
the last snapshot before 16:00 counts, and a day can be closed again.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.end_of_day_margin import TABLE, close_of, write_day
from resources.spark_session import BatchSpark
from resources.tables import TablesResource
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS
from tests.support.table_rows import append

DAY = "2020-03-12"


@pytest.mark.spark
def test_each_account_is_closed_with_its_last_snapshot_before_the_close_and_again_without_doubling(
    tmp_path: Path,
) -> None:
    close = close_of(DAY)
    rows = [
        {
            "account_id": account,
            "calc_timestamp": close + ms,
            "batch_id": batch,
            "equity": equity,
            "stale": False,
        }
        for account, ms, batch, equity in [
            # one millisecond after the close is not of the day
            ("A1", -2000, 1, 10.0),
            ("A1", 0, 2, 20.0),
            ("A1", 1, 3, 30.0),
            ("A2", -1000, 1, 5.0),
            ("A2", -1000, 2, 6.0),  # the later batch wins
            ("A3", -24 * 3600 * 1000, 1, 7.0),  # yesterday's
        ]
    ]
    append(tmp_path, "margin_snapshots", MARGIN_SNAPSHOTS_COLUMNS, rows)
    tables = TablesResource(folder=str(tmp_path))
    with dg.build_resources({"batch_spark": BatchSpark()}) as resources:
        session = resources.batch_spark.spark_session
        for _ in range(2):
            assert write_day(session, tables.location("margin_snapshots"), tables.location(TABLE), DAY) == 2
    closed = tables.frame(TABLE)
    assert dict(zip(closed["account_id"], closed["equity"], strict=True)) == {"A1": 20.0, "A2": 6.0}
