"""How long the pages of an account and of the firm wait for their answers, at 100,000 accounts.

A broker with every account's book and newest figures, the margin stream's table with `--sessions` figures of
each account, and the real server. Each question is asked `--rounds` times. The scenario of the firm page is
compared with the same evaluation in this process: the ratio is what carries to other machines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from deltalake import write_deltalake

from bench.dashboard import OPENING, quantiles, server
from margin_platform.contracts.messages import MARGIN_CALC, MARGIN_STATUS, TOPICS, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.firm.shocks import Shock, effect
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.market import instruments
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.stack import broker, ports
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS

HELD = 4  # positions of an account
SESSION_MS = 24 * 3_600_000


def told(accounts: int) -> Iterator[tuple[str, Event]]:
    """Yield a firm's inputs: prices, then each account's terms, cash and four positions."""
    chosen = random.Random(11)
    symbols = sorted(set(instruments.sectors()))
    prices = {symbol: round(chosen.uniform(20, 300), 2) for symbol in symbols}
    for symbol, price in prices.items():
        yield "prices.v1", {"symbol": symbol, "price": price}
        yield "betas.v1", {"symbol": symbol, "beta": 1.1}
    for number in range(accounts):
        account = f"A{number:06d}"
        yield (
            "accounts.v1",
            {"account_id": account, "margin_type": "PORTFOLIO" if number % 10 == 0 else "REG_T"},
        )
        yield "cash.v1", {"account_id": account, "transfer_id": f"T{number}", "amount": 40_000.0}
        for symbol in chosen.sample(symbols, HELD):
            fill = {"symbol": symbol, "qty": chosen.randrange(10, 300), "price": prices[symbol]}
            yield "fills.v1", fill | {"account_id": account, "fill_id": f"F{number}-{symbol}"}


def seed(bus: Bus, accounts: int, sessions: int, tables: Path) -> MarginEngine:
    """Publish the inputs and what the margin stream makes of them; return its engine."""
    engine, records = MarginEngine(instruments.load(), current_policy()), []
    for number, (topic, event) in enumerate(told(accounts)):
        value = encode(event | {"timestamp": OPENING})
        bus.produce_raw(topic, value, str(event[TOPICS[topic].key]))
        records.append(Record(topic, 0, number, None, value, OPENING))
    bus.flush()
    outcome = engine.process(records, 1)
    figures = [*outcome.calc]
    while len(figures) < accounts:
        figures += engine.overdue().calc
    for topic, events in ((MARGIN_STATUS, outcome.status), (MARGIN_CALC, figures)):
        for event in events:
            bus.produce(topic, event)
    bus.flush()
    for session in range(sessions, 0, -1):
        at = {"calc_timestamp": OPENING - session * SESSION_MS, "batch_id": sessions - session}
        rows = pa.Table.from_pylist([event | at for event in figures], schema=MARGIN_SNAPSHOTS_COLUMNS)
        write_deltalake(str(tables / "margin_snapshots"), rows, mode="append")
    return engine


def waited(client: httpx.Client, path: str, asked: list[dict[str, str]]) -> dict[str, float]:
    """Return p50 and p99 in milliseconds of one answer after the other."""
    took = []
    for parameters in asked:
        began = time.perf_counter()
        client.get(path, params=parameters).raise_for_status()
        took.append(1000 * (time.perf_counter() - began))
    return quantiles(took)


def _whole(client: httpx.Client, accounts: int) -> bool:
    """Report whether the server has read each account's figures, and every book."""
    figures = client.get("api/health").json()["summary"]["accounts"]
    return figures == accounts and bool(client.get("api/concentration").json()["ready"])


def measure(client: httpx.Client, engine: MarginEngine, given: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()
    while not _whole(client, given.accounts):
        time.sleep(0.2)
    loaded = time.monotonic() - began
    chosen = random.Random(5)
    some = [{"id": f"A{chosen.randrange(given.accounts):06d}"} for _ in range(given.rounds)]
    shock = [{"symbol": "AAPL", "move": "-0.3"}] * given.rounds
    book, bare = engine.ledger.book(engine.code_of), []
    for _ in range(given.rounds):
        before = time.perf_counter()
        effect(book, engine.market, engine.policy, Shock(["AAPL"], -0.3))
        bare.append(1000 * (time.perf_counter() - before))
    answers = {
        "account": waited(client, "api/account", some),
        "history_day": waited(client, "api/history", [one | {"span": "day"} for one in some]),
        "history_month": waited(client, "api/history", [one | {"span": "month"} for one in some]),
        "holders": waited(client, "api/holders", [{"symbol": "AAPL"}] * given.rounds),
        "concentration": waited(client, "api/concentration", [{}] * given.rounds),
        "shock": waited(client, "api/shock", shock),
    }
    return {
        "accounts": given.accounts,
        "read_whole_s": round(loaded, 1),
        "milliseconds": answers,
        "shock_alone_p50": round(statistics.median(bare)),
        "shock_over_alone": round(answers["shock"]["p50"] / statistics.median(bare), 2),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=5, help="rows of an account (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="of each question (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON; the same as without")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="answers-") as name:
        folder = Path(name)
        os.environ["MARGIN_TABLES"] = str(folder / "tables")
        kafka = broker.start(folder / "kafka", port=ports.any_free())
        try:
            topic_admin.create(kafka.bootstrap)
            with Bus(kafka.bootstrap) as bus:
                engine = seed(bus, given.accounts, given.sessions, folder / "tables")
            with server(kafka.bootstrap) as (url, _), httpx.Client(base_url=url, timeout=120) as client:
                print(json.dumps(measure(client, engine, given)))
        finally:
            kafka.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
