"""The margin stream by account shard, in Spark's own state store: one query, any number of executors.

Kafka, routing in the JVM, one engine a shard inside `transformWithState`, and Spark's Kafka sink from the
executors. Spark repeats a batch with the same offsets until it is committed, and its state commits by shard
and version. The engine is a pure function of state and records, ticks included, so a repeat publishes the
same bytes. Nothing durable is kept beside Spark's checkpoint.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr, lit
from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.policy.policy import Policy
from margin_platform.settings import settings
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER
from spark import kafka_source
from spark.account_shards.processor import OUTPUT, ShardProcessor

_ACCOUNT_TOPICS = ", ".join(f"'{topic}'" for topic in (ACCOUNTS, CASH, FILLS))
_EVERY_ACCOUNT = 5_000_000
STATE_STORE = {
    "spark.sql.streaming.numRecentProgressUpdates": "100",
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # a chunk of the base is megabytes: iterating would page hundreds of them at once
    "spark.sql.execution.arrow.transformWithStateInPySpark.maxStateRecordsPerBatch": "8",
}


def ticks(session: SparkSession) -> DataFrame:
    """Return the wall's clock as records, one a second: a repeated batch has the same ones."""
    seconds = session.readStream.format("rate").option("rowsPerSecond", 1).option("numPartitions", 1).load()
    return seconds.select(
        lit(CLOCK).alias("topic"),
        lit(0).alias("partition"),
        expr("unix_seconds(timestamp)").alias("offset"),
        lit(None).cast("binary").alias("value"),
        expr("unix_millis(timestamp)").alias("timestamp"),
    )


def routed(records: DataFrame, shards: int) -> DataFrame:
    """Return records with the shards that read them, as `snapshots.shards.shards_of` says."""
    account = "get_json_object(cast(value AS string), '$.account_id')"
    own = f"cast(pmod(crc32(cast({account} AS binary)), {shards}) AS int)"
    everyone = f"sequence(0, {shards - 1})"
    readers = f"CASE WHEN topic IN ({_ACCOUNT_TOPICS}) THEN array(coalesce({own}, 0)) ELSE {everyone} END"
    return records.selectExpr(
        f"explode({readers}) AS shard", "topic", "partition", "offset", "value", "timestamp"
    )


def start(
    session: SparkSession,
    bootstrap: str,
    checkpoint: Path | str,
    policy: Policy,
    shards: int,
    *,
    trigger_ms: int = 100,
    security: KafkaSecurity | None = None,
) -> StreamingQuery:
    """Start the query; a checkpoint moves it on. shards: chosen once, for the life of the checkpoint."""
    login = settings().kafka.security if security is None else security
    for name, value in (STATE_STORE | {"spark.sql.shuffle.partitions": str(shards)}).items():
        session.conf.set(name, value)
    others = [topic for topic in TOPICS_IN_ORDER if topic != ACCOUNTS]
    # all accounts before any fill of a long backlog: Spark divides a batch over the topics of a source
    terms = kafka_source.stream(session, bootstrap, [ACCOUNTS], security, most=_EVERY_ACCOUNT)
    read = terms.unionByName(kafka_source.stream(session, bootstrap, others, security)).selectExpr(
        "topic", "partition", "offset", "value", "unix_millis(timestamp) AS timestamp"
    )
    published = (
        routed(read.unionByName(ticks(session)).coalesce(1), shards)
        .groupBy("shard")
        .transformWithState(ShardProcessor(policy, shards), OUTPUT, "Append", "None")
    )
    return (
        published.writeStream.queryName("account_shards")
        .format("kafka")
        .options(**login.spark())
        .option("kafka.bootstrap.servers", bootstrap)
        .option("kafka.linger.ms", "0")
        .option("checkpointLocation", str(checkpoint))
        .outputMode("append")
        .trigger(processingTime=f"{trigger_ms} milliseconds")
        .start()
    )
