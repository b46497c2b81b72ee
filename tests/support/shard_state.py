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
from spark.account_shards.processor import Engine, Meta, ShardProcessor

Store = dict[str, dict[Any, Any]]


def empty() -> Store:
    return {"meta": {}, "log": {}, "base": {}}


def opened(store: Store, make: Callable[[int], Engine], shards: int, policy: str) -> ShardProcessor:
    """A processor on a shard's state as Spark's store keeps it."""

    def of_map(name: str, *_: str) -> SimpleNamespace:
        rows = store[name]
        return SimpleNamespace(
            getValue=rows.get, updateValue=rows.__setitem__, containsKey=rows.__contains__, removeKey=rows.pop
        )

    meta = store["meta"]
    value = SimpleNamespace(get=lambda: meta.get("value"), update=lambda new: meta.update(value=new))
    handle: Any = SimpleNamespace(getValueState=lambda *_: value, getMapState=of_map)
    shard = ShardProcessor(make, shards, policy)
    shard.init(handle)
    return shard


def margin_engine(session: SparkSession, checkpoint: Path, shards: int = 1, number: int = 0) -> MarginEngine:
    """The engine that a restart would continue with, from the newest committed batch."""
    policy = current_policy()
    make = partial(making.margin_or_volatility, policy, shards, query.load())
    store = _read(session, checkpoint / "margin_snapshots", placement.keys(shards)[number])
    engine: Any = opened(store, make, shards, policy.version)._rebuilt(number, Meta(*store["meta"]["value"]))
    margin: MarginEngine = engine.engine.engine.engine
    return margin


def _read(session: SparkSession, folder: Path, key: int) -> Store:
    _ = session.streams.active  # creates the coordinator that the reader of a state asks
    store = empty()
    for name in store:
        state = session.read.format("statestore").option("path", str(folder)).option("stateVarName", name)
        for row in state.load().where(f"key.shard = {key}").collect():
            if name == "meta":
                store[name]["value"] = tuple(row["value"])
            else:
                store[name][tuple(row["user_map_key"])] = tuple(row["user_map_value"])
    return store
