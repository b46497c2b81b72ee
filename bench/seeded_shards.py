"""A book of the stream's benchmark as the states of its shards. Python workers import this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from typing_extensions import override

from bench.kernel_books import POLICY, POSITIONS
from margin_platform import durable_state
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard, shard_of
from spark.account_shards import processor
from spark.account_shards.engines import MarginOfShard, VolatilityOfShard
from spark.account_shards.processor import Engine, Published


class Seeded(MarginOfShard):
    """A shard's engine that begins with a state from a file, unless Spark's store has one for it."""

    def __init__(
        self, seed: Path, policy: Policy, shards: int, instruments: Sequence[Instrument], number: int
    ) -> None:
        super().__init__(policy, shards, instruments, number)
        self._seed: Path | None = seed

    @override
    def process(self, records: list[Record], batch_id: int) -> Published:
        if self._seed is not None:
            self.restore(durable_state.parse(self._seed.read_bytes()))
        return super().process(records, batch_id)

    @override
    def restore(self, state: Json) -> None:
        self._seed = None
        super().restore(state)


def begun(
    folder: str, every: int, policy: Policy, shards: int, instruments: Sequence[Instrument], number: int
) -> Engine:
    """Return a shard's engine, which begins with its file; the one of the volatilities begins empty.

    every: batches between two snapshots.
    """
    processor._BASE_EVERY = every
    if number == shards:
        return VolatilityOfShard(policy, 1, 0)
    return Seeded(Path(folder) / str(number), policy, shards, instruments, number)


def write(folder: Path, held: Book, priced: Market, prices: list[Record], shards: int) -> None:
    """Write the state of each shard: its accounts, every price read, and first figures out."""
    from bench.scale_book import first_figures_out, with_book

    folder.mkdir(parents=True)
    owners = np.array([shard_of(account, shards) for account in held.account_ids])
    for number in range(shards):
        shard = ShardEngine([Instrument(s) for s in priced.symbols], POLICY, Shard(number, shards))
        with_book(shard.engine, _part(held, np.flatnonzero(owners == number)), priced)
        shard.process(prices, 0)
        first_figures_out(shard.engine)
        with (folder / str(number)).open("wb") as file:
            file.writelines(durable_state.dump(shard.to_state()))


def _part(held: Book, chosen: np.ndarray) -> Book:
    rows = (chosen[:, None] * POSITIONS + np.arange(POSITIONS)).ravel()
    return replace(
        held,
        account_ids=[held.account_ids[n] for n in chosen.tolist()],
        cash=held.cash[chosen],
        margin_type=held.margin_type[chosen],
        offsets=np.arange(len(chosen) + 1, dtype=np.int64) * POSITIONS,
        symbol=held.symbol[rows],
        quantity=held.quantity[rows],
    )
