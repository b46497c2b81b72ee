"""The only place that builds a Spark session. Small, local, and without what a micro-batch of a few hundred rows does not need."""

from __future__ import annotations

import os
import sys

from pyspark.sql import SparkSession

from margin_platform.stack.jars import spark_classpath

# Hadoop's own local file system forks a process for the permissions of every file a micro-batch writes; this one does not.
_LOCAL_FILES = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
_CHECKPOINTS = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.memory": "700m",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:MaxMetaspaceSize=320m -XX:ReservedCodeCacheSize=160m",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",                          # re-planning costs more than these batches
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    "spark.sql.streaming.numRecentProgressUpdates": "4",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.streaming.minBatchesToRetain": "600",                 # more batches than lie between two saves of a stream's state
    "spark.sql.streaming.checkpointFileManagerClass": _CHECKPOINTS,
    "spark.hadoop.fs.file.impl": _LOCAL_FILES,
    "spark.log.level": "ERROR",
}


def build(name: str, master: str = "local[*]", extra: dict[str, str] | None = None) -> SparkSession:
    """A session with the Kafka connector and Delta Lake on its classpath; the jars come from the cache, not the network."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    jars = spark_classpath()
    builder = SparkSession.builder.appName(name).master(master).config("spark.driver.extraClassPath", os.pathsep.join(jars))
    if not master.startswith("local"):
        builder = builder.config("spark.jars", ",".join(jars))   # executors elsewhere get theirs from the driver
    for key, value in (SETTINGS | (extra or {})).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


DELTA = {   # only for sessions that read the tables with Spark; the streams write them without a Spark job
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
