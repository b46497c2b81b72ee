"""A shard that comes back: `margin bench shard_recovery [--accounts 10000 100000]`.

What a Python worker does that has lost its engine, without Spark: read the snapshot, apply the batches since,
with what their evaluation left behind, and sum up the accounts. Accounts of ten positions, 500 of 5,000
prices a batch. In the same run the same batches as they are processed the first time, with their events.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np

from bench.kernel_books import POLICY, SYMBOLS, book, market
from bench.scale_book import engine_of, first_figures_out, solvent
from bench.scale_ticks import CHANGED, OPENING
from margin_platform import durable_state
from margin_platform.contracts.messages import PRICES, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument, Market
from spark.account_shards.engines import MarginOfShard


def batches(priced: Market, count: int) -> list[list[Record]]:
    """Return batches of changed prices; the first has all of them."""
    generator, prices, found, offset = np.random.default_rng(3), priced.price.copy(), [], 0
    for step in range(count + 1):
        codes = generator.choice(SYMBOLS, CHANGED, replace=False) if step else np.arange(SYMBOLS)
        prices[codes] *= 1 + generator.normal(0, 0.002 if step else 0.0, len(codes))
        at, batch = OPENING + step * 1000, []
        for code in codes.tolist():
            event = {"symbol": priced.symbols[code], "price": round(float(prices[code]), 4), "timestamp": at}
            batch.append(Record(PRICES, 0, offset, None, encode(event), at))
            offset += 1
        found.append(batch)
    return found


def measure(accounts: int, count: int) -> dict[str, object]:
    """Return what one size takes, in seconds of a processor: other work changes them little."""
    generator = np.random.default_rng(7)
    priced = market(generator)
    held = solvent(book(accounts, priced, generator), priced, generator)
    first, *rest = batches(priced, count)
    instruments = [Instrument(symbol) for symbol in priced.symbols]
    shard = MarginOfShard(POLICY, 1, instruments, 0)
    shard.engine.engine.ledger = engine_of(held, priced).ledger
    shard.engine.engine.take_in(first, 0)
    shard.engine.engine.emission.grow(accounts)
    first_figures_out(shard.engine.engine)
    raw = b"".join(durable_state.dump(shard.to_state()))
    back = MarginOfShard(POLICY, 1, instruments, 0)
    read = _seconds(lambda: back.restore(durable_state.parse(raw)))
    processed, applied, effects_kb = [], [], []
    for n, batch in enumerate(rest, 1):
        processed.append(_seconds(partial(shard.process, batch, n)))
        effects = shard.effects()
        effects_kb.append(len(zlib.compress(effects, 1)) / 1e3)
        applied.append(_seconds(partial(back.replay, batch, n, effects)))
    summed = _seconds(lambda: back.process([], len(rest) + 1))
    return {
        "accounts": accounts,
        "snapshot_mb": round(len(raw) / 1e6, 1),
        "snapshot_read_s": round(read, 2),
        "summed_s": round(summed, 2),
        "batch_applied_again_ms": round(float(np.median(applied)) * 1000, 1),
        "batch_processed_ms": round(float(np.median(processed)) * 1000, 1),
        "effects_of_a_batch_kb": round(float(np.median(effects_kb)), 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="one line of JSON a size; the same as without")
    given = parser.parse_args(arguments)
    for accounts in given.accounts:
        print(json.dumps(measure(accounts, given.batches)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
