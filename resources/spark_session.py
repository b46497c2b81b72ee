"""A Spark session for batch assets: dagster-pyspark's resource, built the way the streams build theirs,
with Delta Lake on.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_pyspark import PySparkResource
from pydantic import Field

from spark.session import DELTA, build

# Delta's default of 50 partitions to read a table's log costs more than everything else here.
_SMALL_LOG = {"spark.databricks.delta.snapshotPartitions": "1"}


class BatchSpark(PySparkResource):
    """The session is made for the run that uses it and stopped with it."""

    spark_config: dict[str, Any] = Field(default={}, description="further settings of Spark, by name")
    master: str = Field(default="local[1]", description="where the batch runs, as Spark names it")

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._spark_session = build("margin-batch", self.master, {**DELTA, **_SMALL_LOG, **self.spark_config})

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self.spark_session.stop()
