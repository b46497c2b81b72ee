"""The margin stream at scale: whole micro-batches against the bare kernel sweep and against the same work in
plain Spark SQL.

Each size: a broker, a book of that many accounts with ten of 5,000 instruments each, as the state that the
real driver's shards begin with. Then ticks of 500 changed prices. Measured from the last
price handed to Kafka: the whole micro-batch until its progress line (figures evaluated, bands published and
acknowledged), and each margin.status.v1 event until a consumer has it. In the same run: the kernel's sweep of
the whole book on the same two cores, and `plain_spark_sql.py`. `--every 0.5 --ticks 1200` sends ticks by the
clock, whether the last one is done or not: ten minutes under load, with the sizes of files and memory each
minute. `--executors 1 2` runs the driver on a Spark cluster of that many workers instead of its own threads,
with as many shards.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench import plots, seeded_shards
from bench.kernel_books import POSITIONS, SYMBOLS, book, market
from bench.probes import Lines, Sizes, Statuses, child, family, quantiles, tree_mb, tree_seconds
from bench.scale_book import engine_of, first_figures_out, solvent, sweeps
from bench.scale_ticks import CHANGED, OPENING, send, ticking
from margin_platform.contracts.messages import PRICES
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.stack import broker, ports
from margin_platform.stack.spark_cluster import SparkCluster


@contextmanager
def cluster_of(executors: int, folder: Path) -> Iterator[SparkCluster | None]:
    """Yield a cluster of that many workers; None for 0: a thread of the driver is its executor."""
    if not executors:
        yield None
        return
    cluster = SparkCluster(folder / "cluster", executors)
    try:
        cluster.start()
        yield cluster
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
            prices = list(bus.read_all(PRICES))
            engine.process(prices, 0)
            first_figures_out(engine)
            seeded_shards.write(folder / "book", held, priced, prices, max(1, executors))
            kernel = sweeps(engine, 7)
            with cluster_of(executors, folder) as cluster:
                found = streamed(given, kafka.bootstrap, cluster, bus, engine, folder)
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


def command(
    given: argparse.Namespace, bootstrap: str, cluster: SparkCluster | None, folder: Path
) -> list[str]:
    """Return the command of the real driver, with as many shards as executors."""
    return [
        *(sys.executable, "-m", "bench.seeded_driver", str(folder / "book"), str(given.base_every)),
        *("--bootstrap", bootstrap, "--master", cluster.master if cluster else "local[*,4]"),
        *("--shards", str(len(cluster.names) if cluster else 1)),
        *("--checkpoint", str(folder / "checkpoints"), "--tables", str(folder / "tables")),
        *(["--policy", str(given.policy)] if given.policy else []),
        *(["--only", given.only] if given.only else []),
    ]


def streamed(
    given: argparse.Namespace,
    bootstrap: str,
    cluster: SparkCluster | None,
    bus: Bus,
    engine: MarginEngine,
    folder: Path,
) -> dict[str, Any]:
    """Run the real driver under ticks."""
    pace = {"apart": given.market_seconds, "fills": given.fills}
    a_tick, first = CHANGED + given.fills, 1 + given.warm_up
    with child(command(given, bootstrap, cluster, folder), folder, "streams") as lines:
        began = time.time()
        restored = lines.until(SYMBOLS) - began
        ticking(bus, lines, engine, SYMBOLS, given.warm_up, 1, **pace)  # the JVM compiles
        statuses, sizes = Statuses(bootstrap), Sizes(lines, folder, given.sample)
        statuses.start()
        sizes.start()
        time.sleep(1.0)
        driver, known = psutil.Process(lines.process.pid), SYMBOLS + given.warm_up * a_tick
        executors = cluster.executors() if cluster else []
        before = tree_seconds(driver, *executors)
        done = ticking(bus, lines, engine, known, given.ticks, first, every=given.every, **pace)
        python, jvm = (b - a for a, b in zip(before, tree_seconds(driver, *executors), strict=True))
        told, last, memory = lines.told[-given.ticks :], sizes.now(), tree_mb(driver)
        of_executors = [tree_mb(executor) for executor in executors]
        back = None
        if given.lose_workers:
            known, step = known + given.ticks * a_tick, first + given.ticks
            back = round(lost_workers(bus, lines, engine, known, step, executors or [driver]), 2)
        time.sleep(1.0)
        for watch in (statuses, sizes):
            watch.ended.set()
            watch.join()
    waits = [[had - done[at][0] for had in times] for at, times in sorted(statuses.had.items()) if at in done]
    produced, ended = zip(*done.values(), strict=True)
    return {
        "ticks": given.ticks,
        "every_s": given.every,
        "events_a_second": round(a_tick * len(done) / (max(ended) - min(produced))),
        "processor_s": {"python": round(python, 1), "jvm": round(jvm, 1)},
        "start_s": round(restored, 1),
        "back_after_a_kill_s": back,
        **batches_of(done),
        "batch_ms": quantiles([t["seconds"] for t in told]),
        "status_consumed_ms": quantiles([w for tick in waits for w in tick]),
        "mb_per_million_positions": round(memory[0] / (len(engine.ledger.account_ids()) * POSITIONS / 1e6)),
        "executors_python_and_jvm_mb": of_executors,
        "at_the_end": last,
    } | ({"by_minute": sizes.rows} if sizes.rows else {})


def batches_of(done: dict[int, tuple[float, float]]) -> dict[str, Any]:
    """Return how long batches took, from the last price produced on; of both halves too."""
    batches, half = [end - produced for produced, end in done.values()], len(done) // 2
    return {
        "whole_micro_batch_ms": quantiles(batches),
        "first_half_p50_ms": quantiles(batches[:half])["p50"],
        "second_half_p50_ms": quantiles(batches[half:])["p50"],
    }


def lost_workers(
    bus: Bus, lines: Lines, engine: MarginEngine, known: int, step: int, homes: Sequence[psutil.Process]
) -> float:
    """Kill the Python workers that have the shards; return seconds of the first batch after it."""
    alive = (one for jvm, one in family(*homes) if not jvm and one.status() != psutil.STATUS_ZOMBIE)
    workers = [one for one in alive if "pyspark.worker" in one.cmdline()]
    for worker in sorted(workers, key=lambda one: one.memory_info().rss)[-len(homes) :]:
        worker.kill()
    ((produced, ended),) = ticking(bus, lines, engine, known, 1, step).values()
    return ended - produced


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


def options() -> argparse.ArgumentParser:
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
        "--market-seconds",
        type=int,
        default=1,
        help="how much later each tick is on the market's time (default %(default)s)",
    )
    parser.add_argument("--policy", type=Path, help="policy file of the stream; default the newest shipped")
    parser.add_argument("--only", default="", help="queries of the driver; default all")
    parser.add_argument(
        "--base-every",
        type=int,
        default=200,
        help="batches between two snapshots of a shard (default %(default)s, as in the product)",
    )
    parser.add_argument(
        "--lose-workers",
        action="store_true",
        help="at the end kill the shards' Python workers, and measure the first batch after it",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        help="write a PNG: growth over sizes or executors, or with --every files and memory",
    )
    parser.add_argument("--plain-ticks", type=int, default=5)
    parser.add_argument("--no-sql", action="store_true", help="leave the Spark SQL comparison out")
    parser.add_argument("--json", action="store_true", help="one line of JSON a size; the same as without")
    return parser


def main(arguments: list[str] | None = None) -> int:
    given, rows = options().parse_args(arguments), []
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
