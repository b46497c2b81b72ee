"""The tick of `bench.stream_scale` as most would write it in Spark:
join the newest prices, aggregate by account, compare bands.

It does less than the margin stream: the two fixed percentages and the concentration add-on only; no per-share
minimums, volatility, portfolio margin, groups, buying power or scenarios, no cents, nothing published. So its
time is a lower bound of that way.
"""

from __future__ import annotations

import sys
from typing import Any

import orjson
from pyspark.sql import DataFrame

from spark.kafka_source import stream
from spark.session import build

BANDS = """
  SELECT account, CASE WHEN equity < need THEN 2 WHEN equity - need < 0.05 * gross THEN 1 ELSE 0 END AS band
  FROM (SELECT account, first(cash) + sum(quantity * price) AS equity, sum(abs(quantity) * price) AS gross,
               sum(abs(quantity) * price * IF(quantity > 0, 0.25, 0.30))
                 + sum(IF(abs(quantity) * price > 0.3 * total, 0.1 * abs(quantity) * price, 0)) AS need
        FROM (SELECT p.*, n.price, sum(abs(p.quantity) * n.price) OVER (PARTITION BY account) AS total
              FROM positions p JOIN newest n ON p.symbol = n.symbol)
        GROUP BY account)
"""


def run(bootstrap: str, checkpoint: str, positions: str) -> int:
    """Run until standard input ends; print a line of JSON a micro-batch, as the streams print theirs."""
    session = build("plain", "local[*]", {"spark.driver.memory": "6g", "spark.sql.adaptive.enabled": "true"})
    session.read.parquet(positions).repartition(2, "account").cache().createOrReplaceTempView("positions")
    session.sql("SELECT count(*) FROM positions").collect()
    prices: dict[int, float] = {}
    last: list[DataFrame] = []

    def batch(frame: DataFrame, number: int) -> None:
        values = [orjson.loads(bytes(row["value"])) for row in frame.select("value").collect()]
        prices.update((int(v["symbol"][1:]), v["price"]) for v in values)
        rows: list[Any] = list(prices.items())
        session.createDataFrame(rows, "symbol int, price double").createOrReplaceTempView("newest")
        bands = session.sql(BANDS).cache()
        if last:
            bands.join(last[0].withColumnRenamed("band", "before"), "account").where("band <> before").count()
            last.pop().unpersist()
        else:
            bands.count()
        last.append(bands)
        sys.stdout.write(orjson.dumps({"rows": len(values), "batch_id": number}).decode() + "\n")
        sys.stdout.flush()

    source = stream(session, bootstrap, ("prices.v1",))
    source.writeStream.option("checkpointLocation", checkpoint).trigger(
        processingTime="100 milliseconds"
    ).foreachBatch(batch).start()
    sys.stdin.read()
    session.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(run(*sys.argv[1:4]))
