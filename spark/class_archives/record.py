"""Record the class archives of the broker and of Spark's driver.

Once for an environment of Python's, in half a minute; each later start then takes half of its processor time.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyspark import SparkContext
from pyspark.sql import DataFrame

from margin_platform.contracts.messages import PRICES
from margin_platform.jars import class_archive
from margin_platform.jars.resolve import broker_classpath, spark_classpath
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.settings import settings
from margin_platform.stack import broker, ports
from spark import kafka_source, session

_MICRO_BATCHES = 3
_END_S = 300.0


def main() -> None:
    """Record both from a broker with a few prices and a stream that reads them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        class_archive.recorded("broker", broker_classpath()) as options,
    ):
        running = broker.start(Path(folder) / "kafka", port=ports.any_free(), java_options=options)
        try:
            topic_admin.create(running.bootstrap, [PRICES])
            _record_spark(running.bootstrap, folder)
        finally:
            running.stop(grace_s=60)


def _record_spark(bootstrap: str, folder: str) -> None:
    with class_archive.recorded("spark", [*spark_classpath(), *settings().spark.jars]) as options:
        # pyspark's JVM ends, and writes the archive, only with the Python process that started it
        reading = multiprocessing.get_context("spawn").Process(
            target=_read, args=(bootstrap, folder, options)
        )
        reading.start()
        reading.join(_END_S)
        reading.kill()


def _read(bootstrap: str, folder: str, options: Sequence[str]) -> None:
    """Run micro-batches as the streams do: prices of a topic, collected as Arrow."""
    spark = session.build(
        "class-archive",
        "local[2]",
        session.DELTA | {"spark.driver.extraJavaOptions": " ".join([session.DRIVER_JAVA_OPTIONS, *options])},
    )
    prices = kafka_source.stream(spark, bootstrap, [PRICES])
    stream = (
        prices.writeStream.foreachBatch(_collect).option("checkpointLocation", f"{folder}/stream").start()
    )
    with Bus(bootstrap) as bus:
        for number in range(_MICRO_BATCHES):
            bus.produce(PRICES, {"symbol": "SPY", "price": 100.0 + number, "timestamp": number})
            bus.flush()
            stream.processAllAvailable()
    stream.stop()
    spark.stop()
    jvm = SparkContext._gateway.proc  # type: ignore[union-attr]
    jvm.stdin.close()
    jvm.wait()


def _collect(batch: DataFrame, number: int) -> None:
    kafka_source.records(batch)
