"""A data folder of a release goes forward: decisions, events, tables and policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable
from kafka.record.memory_records import MemoryRecords

from margin_platform.contracts.messages import decode
from margin_platform.contracts.topics import TOPICS
from margin_platform.enforcement.explanation import explain
from margin_platform.policy.policy import house_policies, load_policy_file
from margin_platform.store import audit_chain, progress
from margin_platform.store import tables as t
from margin_platform.store.store import SCHEMA, Store, StoreOutdated
from spark.checkpoints import mention_earlier_state
from spark.tables import schemas
from spark.tables.query import base_of
from tests.support.table_rows import append

TABLES = {
    "margin_snapshots": schemas.MARGIN_SNAPSHOTS_COLUMNS,
    "volatility": schemas.VOLATILITY_COLUMNS,
    "firm_exposure": schemas.FIRM_EXPOSURE_COLUMNS,
}


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


def test_a_program_asks_for_the_migration_before_it_decides(folder: Path) -> None:
    with pytest.raises(StoreOutdated, match=f"this program's {SCHEMA}: `margin migrate` mends that"):
        Store(_url(folder), migrate=False)


def test_decisions_go_on_and_can_be_explained(folder: Path) -> None:
    """Every recorded figure is computed again from its recorded inputs, under its recorded policy.

    To a cent: 0.1.0 rounded sums of floating-point numbers, and its own `margin explain` is off as often.
    """
    with Store(_url(folder)) as store:
        count, broken = audit_chain.verify(store)
        assert (count > 0, broken) == (True, [])
        with store.read() as connection:
            called = connection.execute(t.calls.select()).all()
            decided = progress.everything(connection)
        assert called
        for call in called[:2]:  # each searches the cures again
            found = explain(store, call.account_id, call.call_id, None)
            different = found["evidence"]["different"]
            assert {n: pair for n, pair in different.items() if abs(pair[0] - pair[1]) > 0.0101} == {}
    assert {topic for _, topic, *_ in decided} >= {"margin.status.v1", "accounts.v1"}


def _records(log: Path, topic: str) -> Iterator[bytes]:
    """Read a topic's segments from the broker's disk: the form is that of the protocol."""
    for segment in sorted(log.glob(f"{topic}-*/*.log")):
        batches = MemoryRecords(segment.read_bytes())
        while batches.has_next():
            batch = batches.next_batch()
            if not batch.is_control_batch:
                yield from (record.value for record in batch)


def test_every_event_on_its_topics_is_one_of_todays_contract(folder: Path) -> None:
    log = folder / "kafka" / "log"
    read = {}
    for name, topic in TOPICS.items():
        partitions = len([*log.glob(f"{name}-[0-9]*")])
        assert partitions in (0, topic.partitions)  # else an account's events would not stay in order
        read[name] = [decode(name, value) for value in _records(log, name)]
    empty = {name for name, events in read.items() if not events}
    assert not empty & {
        "accounts.v1",
        "fills.v1",
        "prices.v1",
        "margin.calc.v1",
        "margin.calls.v1",
        "audit.v1",
    }


def test_its_tables_take_the_rows_of_today(folder: Path) -> None:
    for name, schema in TABLES.items():
        table = DeltaTable(str(folder / "tables" / name))
        before = table.to_pyarrow_table()
        assert before.schema.types == schema.types  # a column of another type would take nulls alone
        newest = max(before["batch_id"].to_pylist())
        assert base_of(str(folder / "tables" / name), "a new query") == newest + 1
        last = before.slice(before.num_rows - 1).to_pylist()[0]
        append(folder / "tables", name, schema, [last | {"batch_id": newest + 1}])
        table.update_incremental()
        assert table.to_pyarrow_table().num_rows == before.num_rows + 1


def test_its_policies_demand_what_they_demanded(folder: Path) -> None:
    """What was added since has defaults that change nothing."""
    today = {policy.version: policy for policy in house_policies()}
    files = sorted((folder / "policies").glob("*.yaml"))
    assert files
    for file in files:
        policy = load_policy_file(file)
        assert policy == today[policy.version]


def test_the_state_of_its_streams_is_not_read_and_said_so(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mention_earlier_state(str(folder / "checkpoints"))
    said = "the state of the earlier streams is not read: rebuilding the book from the topics"
    assert [record.getMessage() for record in caplog.records] == [said]
