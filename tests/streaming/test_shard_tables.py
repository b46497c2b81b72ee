"""The tables by a plain query: the newest row of each key, once, whatever is repeated or cannot be read."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from margin_platform.contracts.messages import FIRM_RISK, encode
from spark.tables.query import Appends
from spark.tables.schemas import TABLES

pytestmark = [pytest.mark.spark, pytest.mark.nightly]
FIRM = next(table for table in TABLES if table.name == "firm_exposure")


def batch_of(session: SparkSession, values: list[bytes], first: int) -> DataFrame:
    """A micro-batch as Kafka's source gives it."""
    columns = {
        "topic": [FIRM_RISK] * len(values),
        "value": pa.array(values, pa.binary()),
        "offset": pa.array(range(first, first + len(values)), pa.int64()),
    }
    return session.createDataFrame(pa.table(columns))


def row(scenario: str, loss: float) -> bytes:
    return encode({"scenario": scenario, "move": -0.06, "firm_loss": loss, "num_accounts": 3, "breach": True})


def test_a_table_has_the_newest_row_of_each_key_once_and_its_batches_go_on(
    spark_session: SparkSession, tmp_path: Path
) -> None:
    uri = str(tmp_path / FIRM.name)
    first = batch_of(spark_session, [row("a", 1.0), b"no JSON", b"{}", row("b", 2.0), row("a", 3.5)], 0)
    second = batch_of(spark_session, [row("a", 4.0)], 5)

    def append(batch: DataFrame, number: int, query: str) -> None:
        Appends(str(tmp_path), lambda _: query)(batch, number)  # another process each time

    append(first, 0, "q")
    append(first, 0, "q")  # Spark was killed before it noted the batch
    append(batch_of(spark_session, [b"{}"], 9), 1, "q")
    append(second, 2, "q")
    append(second, 0, "of a new checkpoint")
    found = DeltaTable(uri).to_pandas().sort_values(["batch_id", "scenario"])
    assert list(zip(found["batch_id"], found["scenario"], found["firm_loss"], strict=True)) == [
        (0, "a", 3.5),
        (0, "b", 2.0),
        (2, "a", 4.0),
        (3, "a", 4.0),
    ]
    assert list(found.columns) == FIRM.columns.names
    assert bool(found["breach"].all())
