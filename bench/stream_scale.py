"""The margin stream at scale: whole micro-batches against the bare kernel sweep and against the same work in
plain Spark SQL.

Each size: a broker, a book of that many accounts with ten of 5,000 instruments each, kept as the stream's own
durable state, and the real driver restored from it. Then ticks of 500 changed prices. Measured from the last
price handed to Kafka: the whole micro-batch until its progress line (figures evaluated, bands published and
acknowledged), and each margin.status.v1 event until a consumer has it. In the same run: the kernel's sweep of
the whole book on the same two cores, and `plain_spark_sql.py`. `--every 0.5 --ticks 1200` sends ticks by the
clock, whether the last one is done or not: ten minutes under load, with the sizes of files and memory each
minute. `--executors 1 2` runs the driver on a Spark cluster of that many workers instead of its own threads.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench import plots
from bench.kernel import POSITIONS, SYMBOLS, book, market
from bench.probes import Lines, Sizes, Statuses, child, quantiles, tree_mb
from margin_platform import durable_state
from margin_platform.contracts.messages import FILLS, PRICES
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Floats, Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ledger.ledger import Ledger
from margin_platform.ledger.micros import MICRO
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.stack import broker, ports
from margin_platform.stack.spark_cluster import SparkCluster

OPENING = 1_790_000_000_000
CHANGED = 500
POLICY = current_policy()


def solvent(held: Book, priced: Market, generator: np.random.Generator) -> Book:
    """Return the kernel bench's book with equity from 42% to 120% of gross value: a few in a hundred near a
    line, as on a usual day.
    """
    value = (held.quantity * priced.price[held.symbol]).reshape(-1, POSITIONS)
    equity = np.abs(value).sum(axis=1) * generator.uniform(0.42, 1.2, len(value))
    return replace(held, cash=np.round(equity - value.sum(axis=1), 2))


def engine_of(held: Book, priced: Market) -> MarginEngine:
    """Build an engine that has the book as fills: one a position, ids of the size real ones have."""
    engine = MarginEngine([Instrument(s) for s in priced.symbols], POLICY)
    n, total = len(held), len(held.symbol)
    fills = {
        "symbols": list(priced.symbols),
        "account": np.repeat(np.arange(n, dtype=np.int32), POSITIONS),
        "symbol": held.symbol,
        "time": np.full(total, 1),
        "shares": np.rint(held.quantity * MICRO).astype(np.int64),
    }
    state = {
        "accounts": list(held.account_ids),
        "type": held.margin_type,
        "since": np.full(n, 1),
        "cash": np.rint(held.cash * MICRO).astype(np.int64),
        "fills": fills,
        "announced": [],
        "actions": {},
        "seen": np.random.default_rng(1).integers(0, 256, 16 * total, dtype=np.uint8),
    }
    engine.ledger = Ledger.from_state(state, engine.code_of, require_account=True)
    return engine


def first_figures_out(engine: MarginEngine) -> None:
    """Mark every account's first figures as published: from here on only changes are."""
    held = engine.ledger.book(engine.code_of)
    everyone = np.arange(len(held))
    margin = evaluate_accounts(held, PricedMarket.of(engine.market, POLICY), everyone)
    engine.emission.published(margin, everyone)
    engine.emission.stressed_anew(margin)


def sweeps(engine: MarginEngine, times: int) -> list[float]:
    """Return seconds of the kernel over the whole book, everything priced already."""
    held, priced, found = engine.ledger.book(engine.code_of), PricedMarket.of(engine.market, POLICY), []
    everyone = np.arange(len(held))
    for _ in range(times):
        began = time.perf_counter()
        evaluate_accounts(held, priced, everyone)
        found.append(time.perf_counter() - began)
    return found


def send(bus: Bus, symbols: tuple[str, ...], codes: np.ndarray, prices: Floats, at: int) -> float:
    """Produce prices; return epoch seconds when the broker had the last one."""
    for code in codes.tolist():
        bus.produce(
            PRICES, {"symbol": symbols[code], "price": round(float(prices[code]), 4), "timestamp": at}
        )
    bus.flush()
    return time.time()


def trade(bus: Bus, engine: MarginEngine, number: int, fills: int, at: int) -> None:
    """Produce fills of one share: every other tick takes back what the one before bought, so the book stays
    as large as it is.
    """
    ids, symbols = engine.ledger.account_ids(), engine.market.symbols
    for n in range(fills):
        account, symbol = ids[(number // 2 * fills + n) % len(ids)], symbols[n % SYMBOLS]
        fill = {
            "fill_id": f"scale-{number}-{n}",
            "account_id": account,
            "symbol": symbol,
            "qty": -1.0 if number % 2 else 1.0,
        }
        bus.produce(FILLS, fill | {"price": 100.0, "timestamp": at})


def ticking(
    bus: Bus,
    lines: Lines,
    engine: MarginEngine,
    taken: int,
    ticks: int,
    step: int,
    every: float = 0.0,
    fills: int = 0,
) -> dict[int, tuple[float, float]]:
    """Send ticks; return event time -> (when it was produced, when its batch was done).

    every: seconds between them, 0: one after another.
    """
    generator, prices = np.random.default_rng(step), engine.market.price.copy()
    sent, began = dict[int, tuple[float, int]](), time.monotonic()
    for n in range(ticks):
        codes = generator.choice(SYMBOLS, CHANGED, replace=False)
        prices[codes] *= 1 + generator.normal(0, 0.002, CHANGED)
        at, taken = OPENING + (step + n) * 1000, taken + CHANGED + fills
        trade(bus, engine, n, fills, at)
        sent[at] = (send(bus, engine.market.symbols, codes, prices, at), taken)
        if every:
            time.sleep(max(0.0, began + (n + 1) * every - time.monotonic()))
        else:
            lines.until(taken)
    engine.market.price[:] = prices
    return {at: (produced, lines.until(total)) for at, (produced, total) in sent.items()}


@contextmanager
def master(executors: int, folder: Path) -> Iterator[str]:
    """Yield where the driver's executors are: threads of its own for 0, else a cluster of that many
    workers."""
    if not executors:
        yield "local[*]"
        return
    cluster = SparkCluster(folder / "cluster", executors)
    try:
        cluster.start()
        yield cluster.master
    finally:
        cluster.stop()


def measure(given: argparse.Namespace, accounts: int, executors: int, folder: Path) -> dict[str, Any]:
    generator = np.random.default_rng(7)
    priced = market(generator)
    held = solvent(book(accounts, priced, generator), priced, generator)
    rows = {"instruments": [{"symbol": s, "name": s} for s in priced.symbols]}
    (folder / "instruments.yaml").write_text(yaml.safe_dump(rows), encoding="utf-8")
    kafka = broker.start(folder / "kafka", port=ports.any_free())
    try:
        topic_admin.create(kafka.bootstrap)
        with Bus(kafka.bootstrap) as bus:
            send(bus, priced.symbols, np.arange(SYMBOLS), priced.price, OPENING)
            engine = engine_of(held, priced)
            engine.process(bus.read_all(PRICES), 0)
            first_figures_out(engine)
            state = durable_state.dump({"batch": -1, "rows": {}, "stream": engine.to_state()})
            durable_state.save(folder / "checkpoints" / "margin_snapshots", 0, state)
            kernel = sweeps(engine, 7)
            with master(executors, folder) as address:
                found = streamed(given, kafka.bootstrap, address, bus, engine, folder)
            kernel += sweeps(engine, 7)
            plain = [] if given.no_sql else plainly(kafka.bootstrap, bus, engine, folder, given.plain_ticks)
    finally:
        kafka.stop()
    sweep, batch = float(np.median(kernel)), found["whole_micro_batch_ms"]["p50"] / 1000
    found |= {"accounts": accounts, "executors": executors}
    found |= {"kernel_sweep_ms": round(sweep * 1000), "batch_over_sweep": round(batch / sweep, 1)}
    if plain:
        found |= {
            "plain_spark_sql_ms": quantiles(plain),
            "plain_sql_over_batch": round(float(np.median(plain)) / batch, 1),
        }
    return found


def streamed(
    given: argparse.Namespace, bootstrap: str, address: str, bus: Bus, engine: MarginEngine, folder: Path
) -> dict[str, Any]:
    """Run the real driver under ticks."""
    command = [
        sys.executable,
        "-m",
        "spark.driver",
        "--only",
        "margin_snapshots",
        "--bootstrap",
        bootstrap,
        "--master",
        address,
    ]
    command += ["--checkpoint", str(folder / "checkpoints"), "--tables", str(folder / "tables")]
    with child(command, folder, "streams") as lines:
        began = time.time()
        restored = lines.until(SYMBOLS) - began
        ticking(bus, lines, engine, SYMBOLS, given.warm_up, 1)  # the JVM compiles
        statuses, sizes = Statuses(bootstrap), Sizes(lines, folder, given.sample)
        statuses.start()
        sizes.start()
        time.sleep(1.0)
        known = SYMBOLS + given.warm_up * CHANGED
        done = ticking(bus, lines, engine, known, given.ticks, 1 + given.warm_up, given.every, given.fills)
        time.sleep(1.0)
        for watch in (statuses, sizes):
            watch.ended.set()
            watch.join()
        told, last, memory = (
            lines.told[-given.ticks :],
            sizes.now(),
            tree_mb(psutil.Process(lines.process.pid)),
        )
    waits = [[had - done[at][0] for had in times] for at, times in sorted(statuses.had.items()) if at in done]
    half = len(done) // 2
    batches = [end - produced for produced, end in done.values()]
    return {
        "ticks": given.ticks,
        "every_s": given.every,
        "start_s": round(restored, 1),
        "whole_micro_batch_ms": quantiles(batches),
        "batch_function_ms": quantiles([t["seconds"] for t in told]),
        "status_consumed_ms": quantiles([w for tick in waits for w in tick]),
        "first_half_p50_ms": quantiles(batches[:half])["p50"],
        "second_half_p50_ms": quantiles(batches[half:])["p50"],
        "mb_per_million_positions": round(memory[0] / (len(engine.ledger.account_ids()) * POSITIONS / 1e6)),
        "at_the_end": last,
    } | ({"by_minute": sizes.rows} if sizes.rows else {})


def plainly(bootstrap: str, bus: Bus, engine: MarginEngine, folder: Path, ticks: int) -> list[float]:
    """Return seconds of the same ticks through plain Spark SQL."""
    held = engine.ledger.book(engine.code_of)
    number = np.repeat(np.arange(len(held), dtype=np.int32), POSITIONS)
    names = np.array([int(symbol[1:]) for symbol in engine.market.symbols], dtype=np.int32)
    table = {
        "account": number,
        "symbol": names[held.symbol],
        "quantity": held.quantity,
        "cash": held.cash[number],
    }
    pq.write_table(pa.table(table), folder / "positions.parquet")
    known = int(sum(bus.end_offsets(PRICES).values()))
    command = [
        sys.executable,
        "-m",
        "bench.plain_spark_sql",
        bootstrap,
        str(folder / "plain"),
        str(folder / "positions.parquet"),
    ]
    with child(command, folder, "plain") as lines:
        lines.until(known)
        ticking(bus, lines, engine, known, 2, 500_000)
        done = ticking(bus, lines, engine, known + 2 * CHANGED, ticks, 500_010)
    return [end - produced for produced, end in done.values()]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--ticks", type=int, default=30)
    parser.add_argument(
        "--warm-up", type=int, default=15, help="ticks before the measured ones (default %(default)s)"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=0.0,
        help="seconds between ticks; 0: each when the last is done (default)",
    )
    parser.add_argument("--fills", type=int, default=0, help="fills with each tick (default %(default)s)")
    parser.add_argument(
        "--sample",
        type=float,
        default=60.0,
        help="seconds between two looks at files and memory (default %(default)s)",
    )
    parser.add_argument(
        "--executors",
        type=int,
        nargs="+",
        default=[0],
        help="workers of a Spark cluster; 0 (default): threads of the driver",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        help="write a PNG: growth over sizes or executors, or with --every files and memory",
    )
    parser.add_argument("--plain-ticks", type=int, default=5)
    parser.add_argument("--no-sql", action="store_true", help="leave the Spark SQL comparison out")
    parser.add_argument("--json", action="store_true", help="one line of JSON a size; the same as without")
    given = parser.parse_args(arguments)
    rows = []
    for accounts in given.accounts:
        for executors in given.executors:
            with tempfile.TemporaryDirectory(prefix="scale-") as folder:
                rows.append(measure(given, accounts, executors, Path(folder)))
                print(json.dumps(rows[-1]), flush=True)
    if given.plot and given.every:
        plots.sizes(rows[-1].get("by_minute", []), given.plot)
    elif given.plot and len(given.executors) > 1:
        plots.executors(rows, given.plot)
    elif given.plot:
        plots.growth(rows, given.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
