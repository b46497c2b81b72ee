"""What each setting takes off a micro-batch that does nothing:
Spark, Kafka and the checkpoint alone, each setting put back in turn.

A broker, and for each variant a query of its own whose batch function only brings the records to Python.
Measured from the last of 20 prices handed to Kafka until the batch function has them; the settings are those
of `spark/session.py` and `spark/kafka_source.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from margin_platform.contracts.messages import PRICES
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.stack import broker, ports
from spark.driver_arguments import TRIGGER_MS

RECORDS = 20
_CHILD = """
import json, sys
from spark import kafka_source
from spark.session import build
bootstrap, checkpoint, trigger, fetch_wait, extra = sys.argv[1:6]
kafka_source._FETCH_WAIT_MS = int(fetch_wait)
session = build("floor", "local[*]", json.loads(extra))
def batch(frame, number):
    print(frame.toArrow().num_rows, flush=True)
prices = kafka_source.stream(session, bootstrap, ("prices.v1",))
source = prices.writeStream.option("checkpointLocation", checkpoint)
source.trigger(processingTime=f"{trigger} milliseconds").foreachBatch(batch).start()
sys.stdin.read()
session.stop()
"""
_DEFAULT_MANAGER = (
    "org.apache.spark.sql.execution.streaming.checkpointing.FileContextBasedCheckpointFileManager"
)
# name -> (trigger ms, Kafka's fetch wait ms, Spark settings put back to their defaults)
VARIANTS: dict[str, tuple[int, int, dict[str, str]]] = {
    "all as the streams have them": (TRIGGER_MS, 0, {}),
    "kafka.fetch.max.wait.ms 5 instead of 0": (TRIGGER_MS, 5, {}),
    "kafka.fetch.max.wait.ms 500 instead of 0": (TRIGGER_MS, 500, {}),
    "Hadoop's own local file system": (
        TRIGGER_MS,
        0,
        {"spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.LocalFileSystem"},
    ),
    "Spark's own checkpoint file manager": (
        TRIGGER_MS,
        0,
        {"spark.sql.streaming.checkpointFileManagerClass": _DEFAULT_MANAGER},
    ),
    "no-data micro-batches": (TRIGGER_MS, 0, {"spark.sql.streaming.noDataMicroBatches.enabled": "true"}),
    "adaptive execution": (TRIGGER_MS, 0, {"spark.sql.adaptive.enabled": "true"}),
    "200 shuffle partitions": (TRIGGER_MS, 0, {"spark.sql.shuffle.partitions": "200"}),
    "rows to Python without Arrow's settings": (
        TRIGGER_MS,
        0,
        {"spark.sql.execution.arrow.pyspark.enabled": "false"},
    ),
    f"trigger 0 instead of {TRIGGER_MS} ms": (0, 0, {}),
}


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("no batch")
        time.sleep(0.001)


def measure(bus: Bus, folder: Path, variant: tuple[int, int, dict[str, str]], ticks: int) -> list[float]:
    trigger, fetch_wait, extra = variant
    command = [
        sys.executable,
        "-c",
        _CHILD,
        bus.bootstrap,
        str(folder),
        str(trigger),
        str(fetch_wait),
        json.dumps(extra),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    taken = [0]

    def read() -> None:
        for line in process.stdout or ():
            taken[0] += int(line)

    threading.Thread(target=read, daemon=True).start()
    total, found = sum(bus.end_offsets(PRICES).values()), []
    try:
        for tick in range(-8, ticks):
            for n in range(RECORDS):
                bus.produce(PRICES, {"symbol": f"S{n}", "price": 1.0, "timestamp": 1_790_000_000_000 + tick})
            bus.flush()
            began, total = time.monotonic(), total + RECORDS
            until(lambda wanted=total: taken[0] >= wanted)
            if tick >= 0:  # the first are the JVM's to warm up
                found.append(time.monotonic() - began)
            time.sleep(0.15)
    finally:
        process.communicate("", timeout=60)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="one line of JSON a variant; the same as without")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="floor-") as name:
        kafka = broker.start(Path(name) / "kafka", port=ports.any_free())
        try:
            topic_admin.create(kafka.bootstrap)
            base = 0.0
            with Bus(kafka.bootstrap) as bus:
                for number, (title, variant) in enumerate(VARIANTS.items()):
                    found = measure(bus, Path(name) / str(number), variant, given.ticks)
                    p50, p99 = (float(np.quantile(found, q)) for q in (0.5, 0.99))
                    base = base or p50
                    row = {
                        "variant": title,
                        "p50_ms": round(p50 * 1000),
                        "p99_ms": round(p99 * 1000),
                        "ratio": round(p50 / base, 2),
                    }
                    print(json.dumps(row), flush=True)
        finally:
            kafka.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
