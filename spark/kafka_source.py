"""Kafka as a Spark stream: topics in, records out, with the positions a restart resumes from."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame, SparkSession

from margin_platform.kafka_security import KafkaSecurity
from margin_platform.settings import settings

# After each read the consumer already asks for more, and the broker answers nothing else on that connection
# until it has some or this time is over; a task asks for a partition's ends after each read. So Kafka's
# default of 500 ms is a second in every micro-batch, and 5 ms are a seventh of one. No task, no poll.
_FETCH_WAIT_MS = 0
MAX_PER_BATCH = 50_000  # bounds a batch after a long stop, so that progress is seen


def stream(
    session: SparkSession,
    bootstrap: str,
    topics: Iterable[str],
    security: KafkaSecurity | None = None,
    *,
    may_miss: bool = False,
    most: int = MAX_PER_BATCH,
) -> DataFrame:
    """Read the topics as one stream from their beginning; a checkpoint moves it on. Data lost to retention is
    an error, not a gap. security: how to log in; None takes the MARGIN_KAFKA_* settings. may_miss: allow a
    gap, for a reader to whom later records make up for it. most: records of a batch.
    """
    login = settings().kafka.security if security is None else security
    return (
        session.readStream.format("kafka")
        .options(**login.spark())
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", ",".join(topics))
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", most)
        .option("failOnDataLoss", str(not may_miss).lower())
        .option("kafka.fetch.max.wait.ms", _FETCH_WAIT_MS)
        .load()
    )
