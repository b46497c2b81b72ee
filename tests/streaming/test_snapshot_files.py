"""A shard's snapshots on the local disk: what a worker on the same machine comes back from."""

from __future__ import annotations

import copy
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark import SparkFiles, TaskContext

from margin_platform.contracts.messages import encode
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from spark.account_shards import placement, processor, snapshot_files
from spark.account_shards.engines import MarginOfShard
from spark.account_shards.processor import ShardProcessor
from tests.support import shard_state
from tests.support.market_day import seed, tick
from tests.support.shard_state import Store

POLICY = current_policy()
MAKE = partial(MarginOfShard, POLICY, 1, load())
(KEY,) = placement.keys(1)
STATE = [[b"ab", memoryview(b"cd")], [b"e"]]


@pytest.fixture(autouse=True)
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that Spark gives its Python workers, in one of their tasks."""
    monkeypatch.setattr(TaskContext, "get", lambda: TaskContext)
    monkeypatch.setattr(SparkFiles, "getRootDirectory", lambda: str(tmp_path))
    return tmp_path


def run(store: Store, monkeypatch: pytest.MonkeyPatch) -> ShardProcessor:
    """A shard after a day with a whole snapshot, which is on the disk too."""
    monkeypatch.setattr(processor, "_BASE_EVERY", 4)
    monkeypatch.setattr(processor, "_CHUNK_BYTES", 6_000)
    kept = snapshot_files.keep
    monkeypatch.setattr(snapshot_files, "keep", lambda *given: kept(*given).join())
    shard = shard_state.opened(store, MAKE, 1, POLICY.version)
    sent = [*seed(4), *(message for step in range(1, 12) for message in tick(step))]
    for number in range(0, len(sent), 2):
        monkeypatch.setattr(processor, "_batch", lambda number=number: number // 2)
        records = [
            f"{topic} 0 {number + n} {event['timestamp']}\n".encode() + encode(event)
            for n, (topic, event) in enumerate(sent[number : number + 2])
        ]
        columns = pa.RecordBatch.from_pydict({"shard": [KEY] * len(records), "record": records})
        list(shard.handleInputRows((KEY,), iter([columns]), Any))
    return shard


def rebuilt(shard: ShardProcessor, store: Store) -> list[bytes]:
    """The state that a new worker would go on with."""
    again = shard_state.opened(store, MAKE, 1, POLICY.version)
    again._query = shard._query
    meta = again._state.meta()
    assert meta is not None
    assert meta.chunks > 1
    state = again._rebuilt(0, meta).engine.to_state()
    return [b"".join(chunk) for chunk in processor.durable_state.in_chunks(state, 1 << 20)]


def test_a_worker_on_the_same_machine_reads_the_file_and_another_one_the_store(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    shard = run(store, monkeypatch)
    expected = rebuilt(shard, store)
    unreadable = {
        key: (blob, "no text") if key[0] == "base" else (blob, text) for key, (blob, text) in store.items()
    }
    assert rebuilt(shard, copy.copy(unreadable)) == expected
    for path in disk.iterdir():
        path.unlink()
    assert rebuilt(shard, store) == expected


def test_only_snapshots_that_count_stay_on_the_disk(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    shard = run(store, monkeypatch)
    meta = shard._state.meta()
    assert meta is not None
    batches = {int(path.name.rsplit("-", 1)[1]) for path in disk.iterdir()}
    assert meta.base in batches
    assert batches <= {meta.base, meta.pending}


def test_a_file_is_its_owners_alone_and_there_only_once_it_is_whole(disk: Path) -> None:
    before = os.umask(0o022)
    try:
        snapshot_files.keep("one", 7, STATE).join()
    finally:
        os.umask(before)
    (path,) = disk.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = snapshot_files.read("one", 7)
    assert found is not None
    assert found[:] == b"abcde"
    assert snapshot_files.read("one", 8) is None
    snapshot_files.drop("one", 7)
    assert not [*disk.iterdir()]


def test_outside_a_task_nothing_is_written(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskContext, "get", lambda: None)
    snapshot_files.keep("one", 7, STATE).join()
    assert snapshot_files.read("one", 7) is None
    snapshot_files.drop("one", 7)
    assert not [*disk.iterdir()]


def test_a_disk_without_room_leaves_no_file(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(snapshot_files.Path, "replace", full)
    snapshot_files.keep("one", 7, STATE).join()
    assert snapshot_files.read("one", 7) is None
    assert not [*disk.iterdir()]
