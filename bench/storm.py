"""A storm: ten thousand accounts cross at once. How long until all are decided, stored and published?

The op of the job `enforcement` itself, once, over one span: a real broker, SQLite with its syncs, Dagster's
event log. The events are the margin engine's own of the demo's book after a fall of the whole market; those
of accounts in deficit are repeated under other account ids. `enforcement_latency` measures what comes before
the op.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import func, select

from jobs.enforcement import enforce
from jobs.span_runs import worker_start
from margin_platform.backtest.books.generated import generate, usual_counts
from margin_platform.contracts.messages import MARGIN_STATUS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.demo import seed
from margin_platform.demo.run import EVE
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.market.instruments import load
from margin_platform.orchestration import dagster_home, fork_server
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.stack import broker, ports
from margin_platform.store.store import Store
from margin_platform.store.tables import audit, calls, outbox
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource

BOOK = 1000  # accounts of the generated book
FALL = 0.75  # of every price


class Engine:
    """The margin stream's engine, fed without a broker."""

    def __init__(self) -> None:
        self._engine, self._offsets, self._batch = MarginEngine(load(), current_policy()), dict[str, int](), 0

    def take(self, messages: list[tuple[str, Event]]) -> list[Event]:
        records = []
        for topic, event in messages:
            offset = self._offsets[topic] = self._offsets.get(topic, -1) + 1
            records.append(Record(topic, 0, offset, None, encode(event), event["timestamp"]))
        self._batch += 1
        return list(self._engine.process(records, self._batch).status)


def crossing(accounts: int) -> list[Event]:
    """Return the status events of so many accounts in deficit after the fall, one each."""
    engine, market = Engine(), list(seed.market_events(EVE))
    closes = {event["symbol"]: event for topic, event in market if topic == PRICES}
    book = seed.account_events(generate(usual_counts(BOOK), seed.closes_on(EVE)), EVE)
    engine.take([*market, *book])
    later = max(event["timestamp"] for event in closes.values()) + 60_000
    fallen = [
        (PRICES, {"symbol": symbol, "price": round(event["price"] * FALL, 2), "timestamp": later})
        for symbol, event in closes.items()
    ]
    confirmed = [(topic, event | {"timestamp": later + 60_000}) for topic, event in fallen]
    found = {e["account_id"]: e for e in [*engine.take(fallen), *engine.take(confirmed)] if e["excess"] < 0}
    short = list(found.values())
    print(f"{len(short)} of {BOOK} accounts in deficit", file=sys.stderr, flush=True)
    return [
        short[n % len(short)] | {"account_id": f"S{n:06d}", "calc_id": f"storm-{n}"} for n in range(accounts)
    ]


def storm(events: list[Event], folder: Path, profile: bool) -> dict[str, Any]:
    """Produce the events, run the op over them, and return its times and what it made."""
    kafka = broker.start(folder / "kafka", port=ports.any_free(), environment={})
    url = f"sqlite:///{folder / 'store.db'}"
    fork_server.warm([worker_start.__name__])  # as the process is from which the workers of runs are forked
    try:
        topic_admin.create(kafka.bootstrap)
        Store(url).close()
        dagster_home.prepare(folder / "dagster")
        with Bus(kafka.bootstrap) as bus:
            for event in events:
                bus.produce(MARGIN_STATUS, event)
            bus.flush()
        resources = {
            "kafka": KafkaResource(bootstrap_servers=kafka.bootstrap),
            "decisions": DecisionsResource(store_url=url),
        }
        config = {"ops": {"enforce": {"config": {"start": 0, "end": len(events)}}}}
        with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance, cProfile.Profile() as taken:
            if not profile:
                taken.disable()
            began, busy = time.perf_counter(), time.process_time()
            done = dg.materialize([enforce], instance=instance, resources=resources, run_config=config)
            row = {"seconds": time.perf_counter() - began, "processor": time.process_time() - busy}
        assert done.success
        if profile:
            pstats.Stats(taken, stream=sys.stderr).sort_stats("tottime").print_stats(40)
        with Store(url, read_only=True) as store, store.read() as connection:
            held = {
                t.name: connection.execute(select(func.count()).select_from(t)).scalar_one()
                for t in (calls, audit, outbox)
            }
            unsent = connection.execute(
                select(func.count()).select_from(outbox).where(outbox.c.sent.is_(False))
            ).scalar_one()
        assert unsent == 0
        return {k: round(v, 2) for k, v in row.items()} | held
    finally:
        kafka.stop()


def show(accounts: int, rounds: list[dict[str, Any]]) -> None:
    """Print a line for each round."""
    for row in rounds:
        made = ", ".join(f"{row[name]:,} rows of {name}" for name in ("calls", "audit", "outbox"))
        print(
            f"{accounts:,} accounts: {row['seconds']:.1f} s, of them {row['processor']:.1f} s of processor; "
            f"{made}; load {os.getloadavg()[0]:.1f}"
        )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--before", help="a folder or revision, measured first in the same run")
    parser.add_argument("--profile", action="store_true", help="print where the time goes, once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if given.before:
        # not above: an earlier checkout, which runs this file, has none
        from bench.checkouts import answer_of, checkout

        asked = ["--accounts", str(given.accounts), "--rounds", str(given.rounds), "--json"]
        with checkout(given.before) as tree:
            before = answer_of(__file__, tree, asked)["rounds"]
        print("before:")
        show(given.accounts, before)
    events = crossing(given.accounts)
    size = sum(len(encode(event)) for event in events) / len(events)
    results = []
    for _ in range(1 if given.profile else given.rounds):
        with tempfile.TemporaryDirectory() as name:
            results.append(storm(events, Path(name), given.profile))
    if given.json:
        print(json.dumps({"accounts": given.accounts, "bytes an event": round(size), "rounds": results}))
        return 0
    print(f"{size:,.0f} bytes an event; now:")
    show(given.accounts, results)
    if given.before:
        ratio = min(row["processor"] for row in results) / min(row["processor"] for row in before)
        print(f"processor time of the best round: {ratio:.2f} of before")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
