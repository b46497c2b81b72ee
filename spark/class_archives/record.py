"""Record the class archives of the broker and of Spark's driver.

Once for an environment of Python's, in half a minute; each later start then takes half of its processor time.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pyspark import SparkContext

from margin_platform.contracts.messages import ACCOUNTS, PRICES
from margin_platform.jars import class_archive
from margin_platform.jars.resolve import broker_classpath, spark_classpath
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from margin_platform.stack import broker, ports
from spark import session
from spark.account_shards import query
from spark.tables import query as tables

_STARTS = 2
_END_S = 300.0
_JAVA = (session.JAVA_OPTIONS, session.COMPILERS["quick"])
_AT = 1_582_295_400_000  # of the records


def main() -> None:
    """Record both from a broker with a few records and the streams that read them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        class_archive.recorded("broker", broker_classpath()) as options,
    ):
        running = broker.start(Path(folder) / "kafka", port=ports.any_free(), java_options=options)
        try:
            topic_admin.create(running.bootstrap)
            _record_spark(running.bootstrap, folder)
        finally:
            running.stop(grace_s=60)


def _record_spark(bootstrap: str, folder: str) -> None:
    with class_archive.recorded("streams", [*spark_classpath(), *settings().spark.jars]) as options:
        # pyspark's JVM ends, and writes the archive, only with the Python process that started it
        reading = multiprocessing.get_context("spawn").Process(
            target=_read, args=(bootstrap, folder, options)
        )
        reading.start()
        reading.join(_END_S)
        reading.kill()


def _read(bootstrap: str, folder: str, options: Sequence[str]) -> None:
    """Run a few micro-batches of the streams."""
    spark = session.build(
        "class-archive",
        "local[2]",
        query.SESSION | {"spark.driver.extraJavaOptions": " ".join([*_JAVA, *options])},
    )
    place = query.Place(spark, bootstrap, f"{folder}/checkpoints")
    with Bus(bootstrap) as bus:
        bus.produce(ACCOUNTS, {"account_id": "A", "margin_type": "REG_T", "timestamp": _AT})
        for number in range(_STARTS):
            bus.produce(PRICES, {"symbol": "SPY", "price": 100.0 + number, "timestamp": _AT + number})
            bus.flush()
            query.margin_snapshots(place, current_policy(), 1, trigger_ms=None).query.awaitTermination()
    written = tables.start(place, f"{folder}/tables", trigger_ms=0)
    written.processAllAvailable()
    written.stop()
    spark.stop()
    jvm = SparkContext._gateway.proc  # type: ignore[union-attr]
    jvm.stdin.close()
    jvm.wait()
