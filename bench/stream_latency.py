"""Price produced -> margin.calc.v1 consumed:
`python -m bench.stream_latency [--accounts 1000 10000] [--ticks 60]`.

Starts a broker and the real driver, seeds a book, then sends one market-wide tick after
another (every symbol changes, so every account is touched) and waits for the first and for the last account's
figures. In the same run a second driver with an empty batch function measures what Spark and Kafka alone
cost; the ratio is what carries to other machines. `--before COMMIT` measures that commit's driver too, in the
same run, on a broker of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.checkouts import ROOT, checkout
from margin_platform.backtest.books.generated import generate, usual_counts
from margin_platform.backtest.history import sample_market
from margin_platform.contracts.messages import MARGIN_CALC, PRICES
from margin_platform.demo import seed
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.stack import broker, ports

DAY = dt.date(2020, 2, 19)
_NOTHING = """
import sys, time
from spark.session import build
from spark.kafka_source import stream
session = build("nothing", "local[*]")
def batch(frame, number):
    print(frame.toArrow().num_rows, flush=True)
query = stream(session, sys.argv[1], ("prices.v1",)).writeStream.option("checkpointLocation", sys.argv[2])
query.trigger(processingTime="0 milliseconds").foreachBatch(batch).start()
sys.stdin.read()
session.stop()
"""


def child(
    command: list[str], folder: Path, name: str, tree: Path = ROOT
) -> tuple[subprocess.Popen[str], list[str]]:
    """Start a process; return it and the lines it has printed so far."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / f"{name}.log").open("w"),
        text=True,
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
    )
    lines: list[str] = []

    def read() -> None:
        for line in process.stdout or ():
            lines.append(line)

    threading.Thread(target=read, daemon=True).start()
    return process, lines


def until(condition: Callable[[], Any], what: str, seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.002)


def send_tick(bus: Bus, step: int, closes: dict[str, float]) -> None:
    at = sample_market.close_time(DAY) + step * 1000
    for symbol, price in closes.items():
        bus.produce(
            PRICES, {"symbol": symbol, "price": round(price * (1 - 0.0005 * (step % 40)), 4), "timestamp": at}
        )
    bus.flush()


def margin_latency(bus: Bus, steps: range, accounts: int) -> tuple[list[float], list[float]]:
    """Return seconds until the first account's new figures are read, and until the last one's."""
    closes, first, last = seed.closes_on(DAY), [], []
    position = bus.end_offsets(MARGIN_CALC)
    for step in steps:
        at = sample_market.close_time(DAY) + step * 1000
        started, seen, found_first = time.monotonic(), set[str](), 0.0
        send_tick(bus, step, closes)
        while len(seen) < accounts and time.monotonic() - started < 30:
            for record in bus.poll(MARGIN_CALC, position, 1.0):
                position[record.partition] = record.offset + 1
                event = json.loads(record.value or b"{}")
                if event["calc_timestamp"] >= at:
                    found_first = found_first or time.monotonic() - started
                    seen.add(event["account_id"])
        first.append(found_first)
        last.append(time.monotonic() - started)
    return first, last


def nothing_latency(bus: Bus, folder: Path, ticks: int) -> list[float]:
    """Return seconds from the same tick to an empty batch function that has the records in Python."""
    process, lines = child(
        [sys.executable, "-c", _NOTHING, bus.bootstrap, str(folder / "nothing")], folder, "nothing"
    )
    closes, took = seed.closes_on(DAY), []
    total = sum(bus.end_offsets(PRICES).values())
    try:
        until(lambda: sum(map(int, lines)) >= total, "the empty query")
        for step in range(ticks):
            started = time.monotonic()
            send_tick(bus, step, closes)
            total += len(closes)
            until(lambda wanted=total: sum(map(int, lines)) >= wanted, "an empty batch")
            took.append(time.monotonic() - started)
    finally:
        process.communicate("", timeout=60)
    return took


def measure(accounts: int, ticks: int, tree: Path, folder: Path) -> dict[str, Any]:
    kafka = broker.start(folder / "kafka", port=ports.any_free())
    topic_admin.create(kafka.bootstrap)
    try:
        with Bus(kafka.bootstrap) as bus:
            book = generate(usual_counts(accounts), seed.closes_on(DAY))
            for topic, event in (*seed.market_events(DAY), *seed.account_events(book, DAY)):
                bus.produce(topic, event)
            bus.flush()
            command = [
                sys.executable,
                "-m",
                "spark.driver",
                "--bootstrap",
                kafka.bootstrap,
                "--checkpoint",
                str(folder / "checkpoints"),
            ]
            command += ["--tables", str(folder / "tables")]
            process, lines = child(command, folder, "streams", tree)
            try:
                until(lambda: any('"margin_snapshots","batch_id":1' in x for x in lines), "a second batch")
                started = processor_seconds(process.pid)
                margin_latency(bus, range(1, 9), accounts)  # the JVM compiles while it warms up
                before = processor_seconds(process.pid)
                first, last = margin_latency(bus, range(9, ticks + 9), accounts)
                used = processor_seconds(process.pid) - before
                batches = [json.loads(x) for x in lines if '"stream":"margin_snapshots"' in x][-ticks:]
            finally:
                process.communicate("", timeout=60)
            nothing = nothing_latency(bus, folder, ticks + 8)[8:]
    finally:
        kafka.stop()
    first_p50, nothing_p50 = np.quantile(first, 0.5), np.quantile(nothing, 0.5)
    return {
        "accounts": accounts,
        "ticks": ticks,
        "of": "this" if tree == ROOT else "before",
        "processor_ms_a_tick": round(used / ticks * 1000),
        "processor_seconds_to_start": round(started, 1),
        "first_account_ms": quantiles(first),
        "last_account_ms": quantiles(last),
        "batch_ms": quantiles([b["seconds"] for b in batches]),
        "nothing_but_spark_ms": quantiles(nothing),
        "ratio_first_to_nothing": round(float(first_p50 / nothing_p50), 2),
    }


def processor_seconds(pid: int) -> float:
    """Return what a process and those it started have used: driver, JVM and Python workers."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in family)


def quantiles(seconds: list[float]) -> dict[str, int]:
    return {name: round(float(np.quantile(seconds, q)) * 1000) for name, q in (("p50", 0.5), ("p99", 0.99))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--before", help="a folder or revision, whose driver is measured first")
    parser.add_argument("--json", action="store_true", help="one line of JSON a size; the same as without")
    given = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        trees = [stack.enter_context(checkout(given.before))] if given.before else []
        for accounts in given.accounts:
            for tree in (*trees, ROOT):
                with tempfile.TemporaryDirectory(prefix="latency-") as folder:
                    print(json.dumps(measure(accounts, given.ticks, tree, Path(folder))), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
