"""The state of shards as Spark's store keeps it: a processor on it, and the engines that it brings back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyspark.sql import SparkSession

from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from spark.account_shards import making, placement, query
from spark.account_shards.processor import Engine, ShardProcessor
from spark.account_shards.state import VARIABLE

Store = dict[tuple[str, int, int], tuple[bytes | None, str | None]]  # by part, batch and chunk


def opened(store: Store, make: Callable[[int], Engine], shards: int, policy: str) -> ShardProcessor:
    """A processor on a shard's state as Spark's store keeps it."""

    cells = SimpleNamespace(
        getValue=store.get, updateValue=store.__setitem__, removeKey=lambda key: store.pop(key, None)
    )
    handle: Any = SimpleNamespace(getMapState=lambda *_: cells)
    shard = ShardProcessor(make, shards, policy)
    shard.init(handle)
    return shard


def margin_engine(session: SparkSession, checkpoint: Path, shards: int = 1, number: int = 0) -> MarginEngine:
    """The engine that a restart would continue with, from the newest committed batch."""
    policy = current_policy()
    make = partial(making.margin_or_volatility, policy, shards, query.load())
    store = _read(session, checkpoint / "margin_snapshots", placement.keys(shards)[number])
    shard = opened(store, make, shards, policy.version)
    meta = shard._state.meta()
    assert meta is not None, "no batch was committed"
    engine: Any = shard._rebuilt(number, meta)
    margin: MarginEngine = engine.engine.engine.engine
    return margin


def _read(session: SparkSession, folder: Path, key: int) -> Store:
    _ = session.streams.active  # creates the coordinator that the reader of a state asks
    state = session.read.format("statestore").option("path", str(folder)).option("stateVarName", VARIABLE)
    rows = state.load().where(f"key.shard = {key}").collect()
    return {tuple(row["user_map_key"]): tuple(row["user_map_value"]) for row in rows}
