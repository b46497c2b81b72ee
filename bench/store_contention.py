"""Every process of a crash at one decision store: does any find it locked, and how long does each wait?

The roles are the stack's: enforcement, timers, liquidation, notification, relay, maintenance (here every ten
seconds), and the sensors, which only read. Each is a process of its own with the product's own code over one
SQLite file; broker and providers answer at once. `--rate` is status events a second: a demo's crash has 34.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import OperationalError

from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, Event
from margin_platform.contracts.offsets import Span
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.enforcement.timers import next_timer
from margin_platform.kafka.bus import Bus
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.notification.states import next_due
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping.trimming import trim
from margin_platform.store.outbox import oldest_unsent, publish
from margin_platform.store.store import Store
from margin_platform.store.tables import audit, calls, notifications, orders, outbox

ACCOUNTS = 1000
_OPENING = 1_582_295_400_000  # 2020-02-21 09:30 New York
_ROUND_MS = 600_000  # of event time, in which every account changes once
_PRICES = (90.0, 85.0, 70.0, 66.0, 140.0)  # a call, two increases, a severe one, and its cure
_DEMO_RATE = 34
_AT_ONCE = 500


class Turns(Store):
    """A store that remembers how long each writer waited for its turn, and how long the turn lasted."""

    def __init__(self, url: str) -> None:
        super().__init__(url, migrate=False)
        self.waits: list[float] = []
        self.lasted: list[float] = []

    @contextmanager
    def write(self) -> Iterator[Connection]:
        asked = time.perf_counter()
        with super().write() as connection:
            began = time.perf_counter()
            yield connection
        self.waits.append(began - asked)
        self.lasted.append(time.perf_counter() - began)


class Instantly:
    """A broker and a provider that answer at once."""

    name, kind = "PROVIDER", "email"

    def produce(self, _: str, __: Event) -> None: ...
    def produce_raw(self, _: str, __: bytes, ___: str | None) -> None: ...
    def flush(self) -> None: ...

    def send(self, message: Outgoing) -> str:
        return message.id


BUS = cast(Bus, Instantly())


def status(number: int) -> Event:
    """Return the status event of a place in the market's fall: 1,000 shares, borrowed against."""
    turn, account = divmod(number, ACCOUNTS)
    price, at = _PRICES[turn % len(_PRICES)], _OPENING + turn * _ROUND_MS
    equity, requirement = 1000 * price - 60_000.0, 1000 * price * 0.35
    row = {"symbol": "AAPL", "qty": 1000.0, "price": price, "price_timestamp": at}
    return {
        "account_id": f"A{account:04d}",
        "calc_id": f"calc-{number}",
        "timestamp": at,
        "calc_timestamp": at,
        "margin_type": "REG_T",
        "cash": -60_000.0,
        "gross_mv": 1000 * price,
        "equity": equity,
        "requirement": requirement,
        "excess": equity - requirement,
        "positions": [row],
        "severe_underwater": False,
        "stale_symbols": [],
        "policy_version": current_policy().version,
    }


def enforcing(store: Store, rate: float) -> Iterator[float]:
    """Decide what has come since, as a run that stays does; yield how long to wait then."""
    enforcer, began, done = Enforcer(store, current_policy()), time.monotonic(), 0
    while True:
        due = min(int((time.monotonic() - began) * rate), done + 2000)
        if due > done:
            events = [(status(n), (MARGIN_STATUS, 0, n)) for n in range(done, due)]
            enforcer.handle_many(events, "run", Span(MARGIN_STATUS, 0, done, due))
            publish(store, BUS)
            done = due
        yield 0.05


def new_calls(store: Store) -> Iterator[list[tuple[Event, tuple[str, int, int]]]]:
    """Yield what enforcement has put on margin.calls.v1 since last asked, with an offset each."""
    last, offset = 0, 0
    while True:
        query = select(outbox.c.seq, outbox.c.event).where(
            outbox.c.topic == MARGIN_CALLS, outbox.c.seq > last
        )
        with store.read() as connection:
            rows = connection.execute(query.order_by(outbox.c.seq).limit(_AT_ONCE)).all()
        yield [(row.event, (MARGIN_CALLS, 0, offset + n)) for n, row in enumerate(rows)]
        last, offset = (rows[-1].seq if rows else last), offset + len(rows)


def notifying(store: Store, _: float) -> Iterator[float]:
    """Record and send the notices of new calls."""
    desk = Notifier(store, current_policy(), [Instantly()], firm={"email": "desk@firm.example"})
    for events in new_calls(store):
        now = time.time_ns() // 1_000_000
        if events:
            desk.record(events, now, "run")
        desk.deliver(now, "run")
        publish(store, BUS)
        yield 0.05


def liquidating(store: Store, _: float) -> Iterator[float]:
    """Answer the requests for orders among new calls."""
    for events in new_calls(store):
        if events:
            asked = [pair for pair in events if pair[0]["action"] == "LIQUIDATE"]
            LiquidationDesk(store, current_policy()).handle_many(
                asked, "run", Span(MARGIN_CALLS, 0, events[0][1][2], events[-1][1][2] + 1)
            )
            publish(store, BUS)
        yield 0.05


def timing(store: Store, rate: float) -> Iterator[float]:
    """Fire the timers that are due, a second after the other."""
    enforcer, began = Enforcer(store, current_policy()), time.monotonic()
    while True:
        enforcer.fire_timers(_OPENING + int((time.monotonic() - began) * rate / ACCOUNTS * _ROUND_MS))
        publish(store, BUS)
        yield 1.0


def relaying(store: Store, _: float) -> Iterator[float]:
    """Publish leftovers."""
    while True:
        publish(store, BUS)
        yield 0.2


def maintaining(store: Store, _: float) -> Iterator[float]:
    """Trim rows that have done their work."""
    while True:
        trim(store, time.time_ns() // 1_000_000, current_policy().records.retention_years)
        yield 10.0


def watching(url: str) -> Iterator[float]:
    """Open the store and ask what the sensors ask, as often as three times a second."""
    while True:
        with Store(url, read_only=True) as store:
            next_timer(store)
            oldest_unsent(store)
            next_due(store)
        yield 0.3


ROLES: dict[str, Callable[[Store, float], Iterator[float]]] = {
    "enforcement": enforcing,
    "liquidation": liquidating,
    "maintenance": maintaining,
    "notification": notifying,
    "relay": relaying,
    "timers": timing,
}
READERS = 3


def act(role: str, url: str, rate: float, seconds: float, results: Any) -> None:
    """Play a role for some seconds; put its name, waits, lengths of turns and errors into the results."""
    ends, locked = time.monotonic() + seconds, 0
    store = Turns(url)
    steps = watching(url) if role.startswith("sensor") else ROLES[role](store, rate)
    while time.monotonic() < ends:
        try:
            time.sleep(next(steps))
        except OperationalError as error:
            if "locked" not in str(error):
                raise
            locked += 1
            steps = watching(url) if role.startswith("sensor") else ROLES[role](store, rate)
    store.close()
    results.put((role, store.waits, store.lasted, locked))


def measure(seconds: float, rate: float, folder: Path) -> dict[str, Any]:
    """Let all roles act on one new store; return what each met and what the store then holds."""
    url = f"sqlite:///{folder / 'store.db'}"
    Store(url).close()
    context = multiprocessing.get_context("fork")  # no thread runs yet; each would import for seconds
    results: Any = context.Queue()
    roles = [*ROLES, *(f"sensor {n}" for n in range(READERS))]
    processes = [context.Process(target=act, args=(role, url, rate, seconds, results)) for role in roles]
    for process in processes:
        process.start()
    found = sorted(results.get() for _ in processes)
    for process in processes:
        process.join()
    with Store(url, read_only=True) as store, store.read() as connection:
        held = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (calls, orders, notifications, audit, outbox)
        }
    return {"roles": {row[0]: _figures(*row[1:]) for row in found}, "rows": held}


def _figures(waits: list[float], lasted: list[float], locked: int) -> dict[str, float]:
    row: dict[str, float] = {"turns": len(waits), "locked": locked}
    if waits:
        row |= {"wait p99": round(float(np.percentile(waits, 99)), 3), "longest wait": round(max(waits), 3)}
        row |= {"longest turn": round(max(lasted), 3)}
    return row


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=6.0 * _DEMO_RATE, help="status events a second")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        result = measure(given.seconds, given.rate, Path(name))
    if given.json:
        print(json.dumps(result))
    else:
        for role, row in result["roles"].items():
            print(f"{role:13} " + "  ".join(f"{name} {value:,}" for name, value in row.items()))
        print("rows: " + ", ".join(f"{name} {count:,}" for name, count in result["rows"].items()))
    return int(any(row["locked"] for row in result["roles"].values()))


if __name__ == "__main__":
    raise SystemExit(main())
