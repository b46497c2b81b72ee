"""Account shards inside Spark: the JVM routes as the pure rule says, and a shard comes back from its state.

That a day with kills comes out the same is shown by `tests/chaos`.
"""

from __future__ import annotations

import copy
import json
import random
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import Row, SparkSession

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    FILLS,
    FIRM_RISK,
    MARGIN_CALC,
    MARGIN_STATUS,
    PRICES,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.firm.engine import FirmEngine
from margin_platform.market.instruments import load
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shards_of
from spark.account_shards import processor
from spark.account_shards.query import routed
from tests.support.market_day import OPEN, seed, tick

POLICY = current_policy()
VALUES = (
    *(encode({"account_id": name}) for name in ("A0001", "A0002", "", "é", 'quo"te', " ", "x" * 300)),
    b'{"fill_id": "f", "account_id" : "A\\u0030001", "more": {"account_id": "B"}}',
    b'{"account_id": null}',
    b"{}",
    b"[]",
    b"not JSON",
    b"\xff\xfe",
    b"",
    None,
)


@pytest.mark.spark
def test_spark_routes_each_record_to_the_shards_that_the_pure_rule_names(spark_session: SparkSession) -> None:
    records = [
        Record(topic, 0, offset, None, value, 0)
        for topic in (ACCOUNTS, CASH, FILLS, PRICES, CLOCK)
        for offset, value in enumerate(VALUES)
    ]
    columns = {
        "topic": [r.topic for r in records],
        "partition": [r.partition for r in records],
        "offset": [r.offset for r in records],
        "value": pa.array([r.value for r in records], pa.binary()),
        "timestamp": [r.timestamp_ms for r in records],
    }
    given = spark_session.createDataFrame(pa.table(columns))
    found: dict[tuple[str, int], list[int]] = {}
    for row in routed(given, 7).collect():
        found.setdefault((row.topic, row.offset), []).append(row.shard)
    assert found == {(r.topic, r.offset): list(shards_of(r, 7)) for r in records}


def opened(store: dict[str, dict[Any, Any]], policy: Policy = POLICY) -> processor.ShardProcessor:
    """A processor on a shard's state as Spark's store keeps it."""

    def of_map(name: str, *_: str) -> SimpleNamespace:
        rows = store[name]
        return SimpleNamespace(
            getValue=rows.get, updateValue=rows.__setitem__, containsKey=rows.__contains__, removeKey=rows.pop
        )

    meta = store["meta"]
    value = SimpleNamespace(get=lambda: meta.get("value"), update=lambda new: meta.update(value=new))
    handle: Any = SimpleNamespace(getValueState=lambda *_: value, getMapState=of_map)
    shard = processor.ShardProcessor(policy, 1)
    shard.init(handle)
    return shard


def days_batches() -> list[list[Row]]:
    """Forty small batches: a book, and then prices and ticks of the clock."""
    messages = [*seed(4), *(message for step in range(1, 12) for message in tick(step))]
    rows = [
        Row(shard=0, topic=topic, partition=0, offset=n, value=encode(event), timestamp=event["timestamp"])
        for n, (topic, event) in enumerate(messages)
    ]
    rows = [
        *rows[:20],
        Row(shard=0, topic=CLOCK, partition=0, offset=1, value=None, timestamp=OPEN + 60_000),
        *rows[20:],
    ]
    return [rows[n : n + 2] for n in range(0, len(rows), 2)]


def test_a_shard_that_is_lost_at_any_batch_comes_back_from_its_snapshot_and_its_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Workers end, also in the middle of a snapshot, and batches fail after the engine has taken them."""
    monkeypatch.setattr(processor, "_BASE_EVERY", 4)
    monkeypatch.setattr(processor, "_CHUNK_BYTES", 6_000)
    store: dict[str, dict[Any, Any]] = {"meta": {}, "log": {}, "base": {}}
    undisturbed, chance = ShardEngine(load(), POLICY, Shard()), random.Random(3)
    shard, snapshots = opened(store), set()
    for number, rows in enumerate(days_batches()):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        if chance.random() < 0.25:
            processor._held.clear()
        if chance.random() < 0.25:
            failed = opened(copy.deepcopy(store))
            failed._query = shard._query
            list(failed.handleInputRows((0,), iter(rows), Any))
        found = list(shard.handleInputRows((0,), iter(rows), Any))
        records = [Record(r.topic, r.partition, r.offset, None, r.value, r.timestamp) for r in rows]
        assert found == list(processor._published(undisturbed.process(records, number), POLICY, 1))
        meta = processor.Meta(*store["meta"]["value"])
        snapshots.add(meta.base)
        assert {gen for gen, _ in store["base"]} <= {meta.base, meta.pending}
        assert set(store["log"]) == {(n,) for n in range(meta.first, number + 1)}
    assert len(snapshots) > 3
    assert len(store["log"]) < 20


def test_one_shard_publishes_the_firms_rows_of_a_tick_and_one_of_several_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are the sums of what it has published of the accounts by then."""
    for shards in (1, 2):
        shard = opened({"meta": {}, "log": {}, "base": {}})
        shard._shards = shards
        firm, ticks = FirmEngine(POLICY), 0
        for number, given in enumerate(days_batches()):
            monkeypatch.setattr(processor, "_batch", lambda number=number: number)
            found = list(shard.handleInputRows((0,), iter(given), Any))
            firm.update([json.loads(row.value) for row in found if row.topic == MARGIN_CALC])
            if rows := [json.loads(row.value) for row in found if row.topic == FIRM_RISK]:
                assert rows == json.loads(json.dumps(firm.events()))
                ticks += 1
        assert ticks == (1 if shards == 1 else 0)


def test_under_another_policy_each_accounts_next_evaluation_is_published_though_its_worker_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log is applied again under the new policy, silently: no band may pass for published by that."""
    store: dict[str, dict[Any, Any]] = {"meta": {}, "log": {}, "base": {}}
    shard, batches, published = opened(store), days_batches(), list[str]()
    for number, rows in enumerate(batches):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        if number == len(batches) - 8:
            shard = opened(store, POLICY.model_copy(update={"version": "another"}))
            published.clear()
        processor._held.clear()
        found = shard.handleInputRows((0,), iter(rows), Any)
        published += [row.key for row in found if row.topic == MARGIN_STATUS]
    assert sorted(set(published)) == [f"A{n:04}" for n in range(4)]
    assert len(published) < 2 * 4
