"""A Spark session for batch assets: dagster-pyspark's resource, with the settings that the streams have
and Delta Lake on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from margin_platform.settings import settings

if TYPE_CHECKING:
    from dagster_pyspark import PySparkResource
    from pyspark.sql import SparkSession

# Delta's default of 50 partitions to read a table's log costs more than everything else here.
_SMALL_LOG = {"spark.databricks.delta.snapshotPartitions": "1"}


class BatchSpark(dg.ConfigurableResource):
    """The session is made for the run that uses it and stopped with it.

    dagster-pyspark makes it, and is imported then: with PySpark it takes half as long as Dagster itself.
    """

    spark_config: dict[str, Any] = Field(default={}, description="further settings of Spark, by name")
    master: str = Field(default="local[1]", description="where the batch runs, as Spark names it")
    _spark: PySparkResource = PrivateAttr()

    @property
    def spark_session(self) -> SparkSession:
        session: SparkSession = self._spark.spark_session
        return session

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        from dagster_pyspark import PySparkResource

        from spark.checkpoints import storage, storage_jars
        from spark.session import DELTA, configuration

        tables = settings().tables
        extra = {**DELTA, **_SMALL_LOG, **storage(tables), **self.spark_config}
        found = configuration("margin-batch", self.master, extra, storage_jars(tables))
        self._spark = PySparkResource(spark_config=found)
        self._spark.setup_for_execution(context)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self.spark_session.stop()
