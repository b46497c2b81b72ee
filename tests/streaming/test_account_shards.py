"""Shards inside Spark: the JVM routes as the pure rule says, a shard comes back from its state, and the
firm's rows are the same however many there are.

That a day with kills comes out the same is shown by `tests/chaos`.
"""

from __future__ import annotations

import copy
import json
import random
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    DEAD_LETTER,
    FILLS,
    FIRM_PARTIALS,
    FIRM_RISK,
    MARGIN_CALC,
    MARGIN_STATUS,
    PRICES,
    VOLATILITY,
    Event,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.durable_state import StateRefused
from margin_platform.firm.sums import AccountSums
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.input_records import CLOCK
from margin_platform.snapshots.outcome import Messages
from margin_platform.snapshots.shards import shards_of
from margin_platform.trading_time.new_york import date_of
from margin_platform.trading_time.sessions import is_session
from spark.account_shards import making, placement, processor
from spark.account_shards.engines import MarginOfShard, VolatilityOfShard
from spark.account_shards.processor import ShardProcessor
from spark.account_shards.query import one_by_one, routed
from spark.account_shards.reports import ShardReport
from spark.account_shards.state import unpacked
from spark.account_shards.totals import TotalsOfFirm
from tests.support import shard_state
from tests.support.firm_of_figures import FirmOfFigures
from tests.support.market_day import OPEN, seed, tick
from tests.support.shard_state import Store

POLICY = current_policy()
INSTRUMENTS = load()
DAY = 86_400_000
PARTS = ("meta", "log", "base")
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


def frame_of(session: SparkSession, records: list[Record]) -> DataFrame:
    columns = {
        "topic": [r.topic for r in records],
        "partition": [r.partition for r in records],
        "offset": [r.offset for r in records],
        "value": pa.array([r.value for r in records], pa.binary()),
        "timestamp": [r.timestamp_ms for r in records],
    }
    return session.createDataFrame(pa.table(columns))


@pytest.mark.spark
def test_spark_routes_each_record_to_the_shards_that_the_pure_rule_names(spark_session: SparkSession) -> None:
    records = [
        Record(topic, 0, offset, None, value, 0)
        for topic in (ACCOUNTS, CASH, FILLS, PRICES, CLOCK)
        for offset, value in enumerate(VALUES)
    ]
    given = frame_of(spark_session, records)
    found: dict[tuple[str, int], list[int]] = {}
    for row in routed(given, 7).collect():
        found.setdefault((row.topic, row.offset), []).append(row.shard)
    of_volatilities = {PRICES: [7]}  # read by the one after the last too
    expected = {(r.topic, r.offset): [*shards_of(r, 7), *of_volatilities.get(r.topic, [])] for r in records}
    assert found == expected


@pytest.mark.spark
def test_spark_puts_as_many_shards_into_each_partition(spark_session: SparkSession) -> None:
    for shards, partitions in ((1, 1), (2, 2), (7, 7), (32, 2), (32, 8)):
        keys = placement.keys(shards)
        given = spark_session.range(1).selectExpr(f"explode(array{keys if shards > 1 else '(0)'}) AS key")
        placed = given.repartition(partitions, "key").selectExpr("key", "spark_partition_id() AS at")
        assert {row.key: row.at for row in placed.collect()} == {
            key: n % partitions for n, key in enumerate(keys)
        }
        assert 0 in keys  # whatever the number of shards: by its state another number is refused


@pytest.mark.spark
def test_spark_makes_one_column_of_a_record_that_a_shard_reads_as_it_was(spark_session: SparkSession) -> None:
    records = [Record(FILLS, 3, n, None, value, OPEN) for n, value in enumerate((*VALUES, b"a\nb", b"\n"))]
    given = frame_of(spark_session, records).selectExpr("0 AS shard", processor.PACKED)
    assert [record_of(row) for row in given.collect()] == records


def opened(store: Store, make: partial[Any], policy: str = POLICY.version) -> ShardProcessor:
    return shard_state.opened(store, make, make.args[1], policy)


def row(topic: str, offset: int, event: Event, produced: int) -> Row:
    """A record as Spark packs it for a shard."""
    return Row(shard=0, record=f"{topic} 0 {offset} {produced}\n".encode() + encode(event))


def handled(shard: ShardProcessor, key: int, rows: Sequence[Row]) -> list[Row]:
    """What a shard publishes of a batch, which it is handed as columns, in two parts."""
    half = len(rows) // 2
    parts = [
        pa.RecordBatch.from_pydict({"shard": [key] * len(some), "record": [row.record for row in some]})
        for some in (rows[:half], rows[half:])
    ]
    return list(shard.handleInputRows((key,), iter(parts), Any))


def messages(rows: Iterable[Row]) -> Iterator[tuple[str, str, bytes]]:
    """Topic, key and text of each message that rows of a shard have."""
    for row in rows:
        for key, text in zip(row["keys"], row.texts, strict=True):
            yield row.topic, key, text


@pytest.mark.spark
def test_spark_makes_a_record_of_each_message_in_their_order(spark_session: SparkSession) -> None:
    many = Messages([f"K {n}" for n in range(2100)], [encode({"n": n, "é": "a\nb\\n"}) for n in range(2100)])
    rows = [*processor._rows("one", many), *processor._rows("two", Messages(["k"], [b"{}"]))]
    columns = {name: [row[name] for row in rows] for name in ("topic", "keys", "texts")}
    given = spark_session.createDataFrame(pa.table(columns)).coalesce(1)
    found = [(row.topic, row.key, bytes(row.value)) for row in one_by_one(given).collect()]
    assert found == [*messages(rows)]
    assert len(found) == 2101


def days_batches() -> list[list[Row]]:
    """Forty small batches: a book, and then prices and ticks of the clock."""
    messages = [*seed(4), *(message for step in range(1, 12) for message in tick(step))]
    rows = [row(topic, n, event, event["timestamp"]) for n, (topic, event) in enumerate(messages)]
    rows = [*rows[:20], row(CLOCK, 1, {}, OPEN + 60_000), *rows[20:]]
    return [rows[n : n + 2] for n in range(0, len(rows), 2)]


def record_of(row: Row) -> Record:
    return processor._record(row.record)


def closing_prices() -> list[list[Row]]:
    """The closes of twenty days, of two symbols."""
    days = [d for d in range(28) if is_session(date_of(OPEN + d * DAY))]
    events = [
        {"symbol": symbol, "price": 100.0 + day % 5, "timestamp": OPEN + day * DAY}
        for day in days
        for symbol in ("SPY", "AAPL")
    ]
    rows = [row(PRICES, n, event, event["timestamp"]) for n, event in enumerate(events)]
    return [rows[n : n + 2] for n in range(0, len(rows), 2)]


def sums_of_two_shards() -> list[list[Row]]:
    """Those of every account of a tick, one shard a batch behind the other."""
    parts = [AccountSums(POLICY).partial(n % 2, 2, OPEN + n // 2, OPEN, []) for n in range(40)]
    rows = [row(FIRM_PARTIALS, n, part | {"accounts": 1}, part["tick"]) for n, part in enumerate(parts)]
    return [rows[n : n + 1] for n in range(len(rows))]


def test_an_engine_that_is_read_again_leaves_nothing_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shards that change Python workers by turns would else fill each of them."""
    make: partial[Any] = partial(MarginOfShard, POLICY, 1, INSTRUMENTS)
    shard, (key, *_) = opened({}, make), placement.keys(1)
    gone = []
    for number, rows in enumerate(days_batches()[:4]):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        handled(shard, key, rows)
        held = processor._held[shard._query, 0]
        gone.append(weakref.ref(held.engine.engine.engine.ledger))  # type: ignore[attr-defined]
        held.version = -2  # another worker went on with it
        del held
    assert [one() for one in gone[:-1]] == [None] * 3


@pytest.mark.parametrize(
    ("make", "feed", "publishes"),
    [
        (partial(MarginOfShard, POLICY, 1, INSTRUMENTS), days_batches, MARGIN_CALC),
        (partial(VolatilityOfShard, POLICY, 1), closing_prices, VOLATILITY),
        (partial(TotalsOfFirm, POLICY, 2), sums_of_two_shards, FIRM_RISK),
    ],
)
def test_a_shard_that_is_lost_at_any_batch_comes_back_from_its_snapshot_and_its_log(
    make: partial[Any], feed: Callable[[], list[list[Row]]], publishes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers end, also in the middle of a snapshot, and batches fail after the engine has taken them."""
    monkeypatch.setattr(processor, "_BASE_EVERY", 4)
    monkeypatch.setattr(processor, "_CHUNK_BYTES", 6_000)
    store, undisturbed, chance = Store(), make(0), random.Random(3)
    key, *_ = placement.keys(make.args[1])
    shard, snapshots, topics, told = opened(store, make), set(), set(), list[ShardReport]()
    shard._tell = lambda _, report: told.append(report)
    for number, rows in enumerate(feed()):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        if chance.random() < 0.25:
            processor._held.clear()
        if chance.random() < 0.25:
            failed = opened(copy.deepcopy(store), make)
            failed._query = shard._query
            handled(failed, key, rows)
        found = handled(shard, key, rows)
        expected = undisturbed.process([record_of(row) for row in rows], number)
        assert [*messages(found)] == [
            (t, k, v) for t, m in expected for k, v in zip(m.keys, m.texts, strict=True)
        ]
        topics |= {row.topic for row in found}
        meta = shard._state.meta()
        assert meta is not None
        snapshots.add(meta.base)
        parts = {part: {key[1:]: value for key, value in store.items() if key[0] == part} for part in PARTS}
        assert {gen for gen, _ in parts["base"]} <= {meta.base, meta.pending}
        assert set(parts["log"]) == {(n, 0) for n in range(meta.first, number + 1)}
        kept = [blob for blob, _ in parts["log"].values()]
        kept += [unpacked(text) for (gen, _), (_, text) in parts["base"].items() if gen == meta.base]
        assert told[-1]["state_bytes"] == sum(map(len, kept))
    assert len(snapshots) > 3
    assert 1 < sum(report["cold"] for report in told) < len(told)
    assert len(parts["log"]) < 20
    assert publishes in topics


def test_the_firms_rows_are_the_same_of_one_shard_and_of_three_whose_sums_are_added_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And they are the sums of what was published of the accounts by then."""
    monkeypatch.setattr(processor, "_batch", lambda: batch)
    found: dict[int, list[list[Event]]] = {}
    for shards in (1, 3):
        parts = [opened({}, partial(MarginOfShard, POLICY, shards, INSTRUMENTS)) for _ in range(shards)]
        totals, firm = opened({}, partial(TotalsOfFirm, POLICY, shards)), FirmOfFigures(POLICY)
        for batch, given in enumerate(days_batches()):
            rows = [
                row
                for number, part in enumerate(parts)
                if (own := [row for row in given if number in shards_of(record_of(row), shards)])
                for row in handled(part, placement.keys(shards)[number], own)
            ]
            firm.update([json.loads(text) for topic, _, text in messages(rows) if topic == MARGIN_CALC])
            found_sums = [json.loads(text) for topic, _, text in messages(rows) if topic == FIRM_PARTIALS]
            sums = [row(FIRM_PARTIALS, batch * 10 + n, event, OPEN) for n, event in enumerate(found_sums)]
            assert len(sums) in (0, shards if shards > 1 else 0)
            rows += handled(totals, 0, sums)
            if published := [json.loads(text) for topic, _, text in messages(rows) if topic == FIRM_RISK]:
                assert published == json.loads(json.dumps(firm.events()))
                found.setdefault(shards, []).append(published)
    assert len(found[1]) == 1
    assert found[3] == found[1]


def test_the_shard_after_the_last_is_that_of_the_volatilities(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = opened({}, partial(making.margin_or_volatility, POLICY, 2, INSTRUMENTS))
    topics = set()
    for number, rows in enumerate(closing_prices()):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        found = handled(shard, placement.OF_VOLATILITIES, rows)
        topics |= {row.topic for row in found}
    assert topics == {VOLATILITY}


def test_another_number_of_shards_than_the_checkpoints_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor, "_batch", lambda: 0)
    store, rows = Store(), days_batches()[0]
    handled(opened(store, partial(MarginOfShard, POLICY, 2, INSTRUMENTS)), 0, rows)
    with pytest.raises(StateRefused, match="shards: 2 for the life of this checkpoint, value 3"):
        handled(opened(store, partial(MarginOfShard, POLICY, 3, INSTRUMENTS)), 0, rows)


def test_a_session_whose_workers_hand_on_rows_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_batch", lambda: 0)
    shard = opened(Store(), partial(MarginOfShard, POLICY, 1, INSTRUMENTS))
    with pytest.raises(TypeError, match="lacks the options of spark.python_workers"):
        list(shard.handleInputRows((0,), iter(days_batches()[0]), Any))  # type: ignore[arg-type]


def test_a_message_that_is_no_sum_is_refused_by_name_and_the_next_tick_counts() -> None:
    totals = TotalsOfFirm(POLICY, 1, 0)
    good = AccountSums(POLICY).partial(0, 1, OPEN, OPEN, []) | {"accounts": 1}
    values = [b"{}", encode(good | {"sums": [1.5]}), encode(good)]
    found = totals.process([Record(FIRM_PARTIALS, 0, n, None, v, OPEN) for n, v in enumerate(values)], 0)
    letters = [event for topic, events in found if topic == DEAD_LETTER for event in events]
    assert [letter["field"] for letter in letters] == ["shard", "sums"]
    assert sum(len(rows) for topic, rows in found if topic == FIRM_RISK) == len(POLICY.stress.scenarios)


def test_under_another_policy_each_accounts_next_evaluation_is_published_though_its_worker_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log is applied again under the new policy, silently: no band may pass for published by that."""
    store, batches, published = Store(), days_batches(), list[str]()
    shard = opened(store, partial(MarginOfShard, POLICY, 1, INSTRUMENTS))
    for number, rows in enumerate(batches):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number)
        if number == len(batches) - 8:
            other = POLICY.model_copy(update={"version": "another"})
            shard = opened(store, partial(MarginOfShard, other, 1, INSTRUMENTS), other.version)
            published.clear()
        processor._held.clear()
        found = handled(shard, 0, rows)
        published += [key for topic, key, _ in messages(found) if topic == MARGIN_STATUS]
    assert sorted(set(published)) == [f"A{n:04}" for n in range(4)]
    assert len(published) < 2 * 4
