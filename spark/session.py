"""The only place that builds a Spark session.

Small, and without what a micro-batch of a few hundred rows does not need.

On one machine, on a cluster this process is the driver of, or inside a driver that a service started: the
master decides which.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession

from margin_platform.jars import class_archive
from margin_platform.jars.resolve import spark_classpath
from margin_platform.settings import settings

# Hadoop's own local file system forks a process for the permissions of every file a micro-batch writes; this
# one does not.
_LOCAL_FILES = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
_CHECKPOINTS = "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "false",  # re-planning costs more than these batches
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    "spark.sql.streaming.numRecentProgressUpdates": "4",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.streaming.checkpointFileManagerClass": _CHECKPOINTS,
    "spark.hadoop.fs.file.impl": _LOCAL_FILES,
    # Hadoop sets the modes of what it writes itself, whatever the process's umask
    "spark.hadoop.fs.permissions.umask-mode": "077",
    # the Kafka login is an option of the source
    "spark.sql.redaction.options.regex": "(?i)url|jaas|password",
    "spark.log.level": "ERROR",
    # Else the heap grows to its limit before what micro-batches leave behind is collected. A tenth of a
    # gigabyte stays, so it takes a moment.
    "spark.cleaner.periodicGC.interval": "5min",
}
JAVA_OPTIONS = "-XX:+UseSerialGC -XX:MaxMetaspaceSize=320m -XX:ReservedCodeCacheSize=160m"  # of each JVM
_HEAPS, _FEW = "MALLOC_ARENA_MAX", "2"
# Of a driver. It runs much code, each piece a few times: for the first minutes the second compiler takes more
# than it gives back. A cluster's driver runs for days.
COMPILERS = {"quick": "-XX:TieredStopAtLevel=1", "full": "-XX:+TieredCompilation"}


def _placement(master: str, more_jars: Sequence[str]) -> dict[str, str]:
    """Return the options that depend on where the driver and its executors run.

    Empty without a master: `spark-submit` has decided it all.
    """
    if not master:
        return {}
    here = settings()
    jars = [*spark_classpath(), *here.spark.jars, *more_jars]
    compiler = here.spark.compiler or ("quick" if master.startswith("local") else "full")
    driver = {
        "spark.driver.memory": "700m",
        "spark.driver.extraJavaOptions": " ".join(
            [JAVA_OPTIONS, COMPILERS[compiler], *class_archive.options("streams", jars)]
        ),
        "spark.driver.extraClassPath": os.pathsep.join(jars),
        "spark.driver.host": here.spark.driver_host,
        "spark.driver.bindAddress": "127.0.0.1",
    }
    if master.startswith("local"):
        return driver
    driver |= {  # executors elsewhere get the jars from the driver, and reach it by the name it gives them
        "spark.jars": ",".join(jars),
        "spark.driver.bindAddress": "127.0.0.1" if here.spark.driver_host == "127.0.0.1" else "0.0.0.0",
        "spark.executor.memory": here.spark.executor_memory,
        "spark.executor.extraJavaOptions": JAVA_OPTIONS,
        f"spark.executorEnv.{_HEAPS}": _FEW,
    }
    if master.startswith("k8s://"):
        assert here.spark.image is not None  # settings refuse such a master without it
        driver |= {
            "spark.kubernetes.container.image": here.spark.image,
            "spark.kubernetes.namespace": here.spark.namespace,
        }
    return driver


def configuration(
    name: str, master: str, extra: dict[str, str] | None = None, jars: Sequence[str] = ()
) -> dict[str, str]:
    """Return all settings of a session, by Spark's names. jars: beside those that every session has."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    # heaps of the C library, which RocksDB's threads fill: else there are eight for each core
    os.environ.setdefault(_HEAPS, _FEW)
    placed = {"spark.app.name": name} | ({"spark.master": master} if master else {})
    return placed | SETTINGS | _placement(master, jars) | (extra or {})


def build(
    name: str, master: str = "local[*]", extra: dict[str, str] | None = None, jars: Sequence[str] = ()
) -> SparkSession:
    """Build a session with the Kafka connector and Delta Lake on its classpath; the jars come from the cache,
    not the network.
    """
    builder = SparkSession.builder
    for key, value in configuration(name, master, extra, jars).items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


DELTA = {  # of sessions that read or write the tables
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
