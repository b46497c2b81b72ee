"""The stateful queries, in Spark's own state store: of the shards, and of the firm's totals.

Kafka, routing in the JVM, one engine a shard inside `transformWithState`, and Spark's Kafka sink from the
executors. Spark repeats a batch with the same offsets until it is committed, and its state commits by shard
and version. An engine is a pure function of state and records, ticks included, so a repeat publishes the
same bytes. Nothing durable is kept beside Spark's checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pyspark.accumulators import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import expr, lit
from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, FIRM_PARTIALS, PRICES
from margin_platform.kafka_security import KafkaSecurity
from margin_platform.market.instruments import load
from margin_platform.policy.policy import Policy
from margin_platform.settings import QUERY_OF_WORKER, settings
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER
from spark import kafka_source, python_workers
from spark.account_shards import making, placement
from spark.account_shards.processor import OUTPUT, PACKED, Engine, ShardProcessor
from spark.account_shards.reports import ByShard, ShardReport, add
from spark.driver_arguments import TRIGGER_MS

_ACCOUNT_TOPICS = ", ".join(f"'{topic}'" for topic in (ACCOUNTS, CASH, FILLS))
_VOLATILITY_TOPICS = f"'{PRICES}', '{CORPORATE_ACTIONS}'"
_EVERY_ACCOUNT = 5_000_000
_SUMS_MS = 250  # shards say what they sum to once a second: to ask twenty times is for nothing
STATE_STORE = {
    "spark.sql.streaming.numRecentProgressUpdates": "20",
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    # a chunk of the base is megabytes: iterating would page hundreds of them at once
    "spark.sql.execution.arrow.transformWithStateInPySpark.maxStateRecordsPerBatch": "8",
}
# Of the session alone. On a cluster shards that run beside each other in one JVM would change Python workers
# by turns.
SESSION = STATE_STORE | python_workers.OPTIONS | {"spark.executor.cores": "1"}


@dataclass(frozen=True)
class Place:
    """Where queries read, publish and keep their state. checkpoint: a folder or URL, of all queries."""

    session: SparkSession
    bootstrap: str
    checkpoint: str
    security: KafkaSecurity | None = None

    def topics(
        self, *names: str, most: int = kafka_source.MAX_PER_BATCH, may_miss: bool = False
    ) -> DataFrame:
        """Return the records of topics, from their beginning or the checkpoint on."""
        read = kafka_source.stream(
            self.session, self.bootstrap, names, self.security, may_miss=may_miss, most=most
        )
        return read.selectExpr("topic", "partition", "offset", "value", "unix_millis(timestamp) AS timestamp")


@dataclass(frozen=True)
class Sharded:
    """A running query, and what its shards last said of themselves, by their number."""

    query: StreamingQuery
    reports: Accumulator[dict[int, ShardReport]]


def margin_snapshots(
    place: Place, policy: Policy, shards: int, *, trigger_ms: int | None = TRIGGER_MS, restated: str = ""
) -> Sharded:
    """Start the shards of the accounts, and of the volatilities, which is the one after the last.

    shards: of the accounts, chosen once, for the life of the checkpoint. trigger_ms: shortest time between
    batches; None: read what stands on the topics now, then end. restated: another text than at the start
    before has the next batch say where every account stands.
    """
    others = [topic for topic in TOPICS_IN_ORDER if topic != ACCOUNTS]
    # all accounts before any fill of a long backlog: Spark divides a batch over the topics of a source
    read = place.topics(ACCOUNTS, most=_EVERY_ACCOUNT).unionByName(place.topics(*others))
    records = routed(read.unionByName(ticks(place.session)).coalesce(1), shards)
    make = partial(making.margin_or_volatility, policy, shards, load())
    judged_by = f"{policy.version} {restated}".strip()
    return _start(place, "margin_snapshots", records, shards, make, judged_by, trigger_ms)


def firm_exposure(place: Place, policy: Policy, shards: int, *, trigger_ms: int = TRIGGER_MS) -> Sharded:
    """Start the totals of the firm, from what several shards sum to. One shard publishes them itself.

    Sums that retention deleted in a long stop are not missed: each tick has all accounts.
    """
    records = place.topics(FIRM_PARTIALS, may_miss=True).selectExpr("0 AS shard", "*")
    make, apart = partial(making.totals, policy, shards), max(trigger_ms, _SUMS_MS)
    return _start(place, "firm_exposure", records, 1, make, policy.version, apart)


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
    """Return records with the shards that read them, as `snapshots.shards.shards_of` says.

    What volatilities are computed from is also read by the one after the last.
    """
    account = "get_json_object(cast(value AS string), '$.account_id')"
    own = f"cast(pmod(crc32(cast({account} AS binary)), {shards}) AS int)" if shards > 1 else "0"
    readers = (
        f"CASE WHEN topic IN ({_ACCOUNT_TOPICS}) THEN array(coalesce({own}, 0)) "
        f"WHEN topic IN ({_VOLATILITY_TOPICS}) THEN sequence(0, {shards}) "
        f"ELSE sequence(0, {shards - 1}) END"
    )
    return records.selectExpr(
        f"explode({readers}) AS shard", "topic", "partition", "offset", "value", "timestamp"
    )


def one_by_one(published: DataFrame) -> DataFrame:
    """Return a record for each message of the rows that a shard publishes."""
    return published.selectExpr("topic", "inline(arrays_zip(keys, texts)) AS (key, value)")


def _start(
    place: Place,
    name: str,
    records: DataFrame,
    shards: int,
    make: Callable[[int], Engine],
    judged_by: str,
    trigger_ms: int | None,
) -> Sharded:
    """Start a query of records with the number of their shard; its engines' events go to Kafka.

    judged_by: the policy's version; under another one than before, each account is judged again.
    """
    session = place.session
    for key, value in (STATE_STORE | {"spark.sql.shuffle.partitions": str(shards)}).items():
        session.conf.set(key, value)
    # Python workers of its own: one that two queries share would build their engines by turns
    session.sparkContext.environment[QUERY_OF_WORKER] = name
    login = settings().kafka.security if place.security is None else place.security
    reports = session.sparkContext.accumulator(dict[int, ShardReport](), ByShard())
    keys = ", ".join(map(str, (*placement.keys(shards), placement.OF_VOLATILITIES)))
    placed = records.selectExpr(f"element_at(array({keys}), shard + 1) AS shard", PACKED)
    processor = ShardProcessor(making.Packed(make), shards, judged_by, partial(add, reports))
    published = placed.groupBy("shard").transformWithState(processor, OUTPUT, "Append", "None")
    writer = (
        one_by_one(published)
        .writeStream.queryName(name)
        .format("kafka")
        .options(**login.spark())
        .option("kafka.bootstrap.servers", place.bootstrap)
        .option("kafka.linger.ms", "0")
        .option("checkpointLocation", f"{place.checkpoint.rstrip('/')}/{name}")
        .outputMode("append")
    )
    if trigger_ms is None:
        return Sharded(writer.trigger(availableNow=True).start(), reports)
    return Sharded(writer.trigger(processingTime=f"{trigger_ms} milliseconds").start(), reports)
