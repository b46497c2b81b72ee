"""Recorded events both ways: through the stream's engine, the enforcer and the liquidation desk,
and through a replay of the same records.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from margin_platform.backtest import runs
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.history import price_files
from margin_platform.backtest.recorded import in_order_of_arrival, recorded_job
from margin_platform.contracts.messages import (
    AUDIT,
    FILLS,
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    PRICES,
    Event,
    decode,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.documents.book_input import parse
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument
from margin_platform.kernel.sweep.columns import Status
from margin_platform.money import cents
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.store.store import Store
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import in_session

NEVER = 1 << 62
_QUIET = {"HELD", "RELEASED", "ORDER", "NO_ORDER"}
_SHOWN = ("CALL", "CALL_INCREASED", "CALL_RESTATED")


@dataclass
class Came:
    """What the accounts came to.

    Decisions and sales carry their event time; accounts: figures in cents, and positions.
    """

    decisions: list[tuple[Any, ...]] = field(default_factory=list)
    sales: list[tuple[Any, ...]] = field(default_factory=list)
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)


def records_of(rows: Iterable[Event]) -> list[Record]:
    """Rows {"topic", "event" or "raw", "produced"} as they stand on their topics;
    by default produced at their own time.
    """
    offsets, found = Counter[str](), []
    for row in rows:
        topic = row["topic"]
        raw = encode(row["event"]) if "event" in row else None if row["raw"] is None else row["raw"].encode()
        found.append(
            Record(topic, 0, offsets[topic], None, raw, row.get("produced") or row["event"]["timestamp"])
        )
        offsets[topic] += 1
    return found


class Live:
    """The engine, the ladder and the liquidation desk over a store, joined as their topics join them;
    orders trade at the price of now.
    """

    def __init__(self, store: Store, instruments: Sequence[Instrument], policy: Policy) -> None:
        self.engine, self.policy = MarginEngine(instruments, policy), policy
        self.enforcer, self.desk = Enforcer(store, policy), LiquidationDesk(store, policy)
        self.came, self._read, self._batches = Came(), Counter[str](), 0
        self._orders: dict[str, Event] = {}

    def take(self, records: list[Record]) -> None:
        outcome = self.engine.process([*records, *self._opening_fills(records)], self._batches)
        self._batches += 1
        self._carry_out(
            self.enforcer.handle_many([(event, self._place(MARGIN_STATUS)) for event in outcome.status])
        )
        self._carry_out(self.enforcer.fire_timers(self.engine.event_time))
        self._trade()

    def _place(self, topic: str) -> tuple[str, int, int]:
        self._read[topic] += 1
        return topic, 0, self._read[topic] - 1

    def _carry_out(self, messages: list[tuple[str, Event]]) -> None:
        for topic, event in messages:
            if topic == AUDIT and event["decision"] not in _QUIET:
                self.came.decisions.append(
                    _decision(event["timestamp"], event["account_id"], event["decision"], event["amount"])
                )
            elif topic == LIQUIDATION_ORDERS and event["action"] == "NEW":
                self._orders[event["order_id"]] = event
            elif topic == LIQUIDATION_ORDERS:
                self._orders.pop(event["order_id"], None)
            elif topic == MARGIN_CALLS and event["action"] == "LIQUIDATE":
                self._carry_out(self.desk.handle_many([(event, self._place(MARGIN_CALLS))]))

    def _opening_fills(self, records: list[Record]) -> list[Record]:
        """Fills of orders that waited for the session, at the first prints in it;
        the engine reads both in one batch.
        """
        if not self._orders:
            return []
        prints = {
            e["symbol"]: e
            for e in (decode(r.topic, r.value) for r in records if r.topic == PRICES)
            if in_session(e["timestamp"])
        }
        now = max((record.timestamp_ms for record in records), default=0)
        ready = [
            order
            for order in self._orders.values()
            if all(self._plausible(prints.get(leg["symbol"])) for leg in order["positions"])
            and (order["valid_until"] or NEVER) > now
        ]
        return self._fills(ready, {symbol: event["price"] for symbol, event in prints.items()}, now)

    def _plausible(self, event: Event | None) -> bool:
        known = (
            None if event is None else float(self.engine.market.price[self.engine.code_of[event["symbol"]]])
        )
        return (
            event is not None
            and known is not None
            and abs(event["price"] / known - 1.0) <= self.policy.prices.max_jump
        )

    def _trade(self) -> None:
        """Fill within a session, its closing print included, as a backtest assumes:
        whole, at the price less the slippage.
        """
        now = self.engine.event_time
        due = list(self._orders.values()) if in_session(now) else []
        prices = dict(zip(self.engine.market.symbols, self.engine.market.price.tolist(), strict=True))
        if fills := self._fills(due, prices, now):
            self.take(fills)

    def _fills(self, due: list[Event], prices: dict[str, float], now: int) -> list[Record]:
        slip, first = self.policy.backtest.fill_slippage, self.engine.next_offset[FILLS].get(1, 0)
        records = list[Record]()
        for order in due:
            for leg in order["positions"]:
                qty = -leg["qty"] if leg["side"] == "SELL" else leg["qty"]
                price = prices[leg["symbol"]] * (1 - slip if qty < 0 else 1 + slip)
                self.came.sales.append(_sale(now, order["account_id"], leg["symbol"], qty, price))
                fill = {
                    "fill_id": f"{order['order_id']} {leg['symbol']}",
                    "account_id": order["account_id"],
                    "symbol": leg["symbol"],
                    "qty": qty,
                    "price": price,
                    "timestamp": now,
                    "order_id": order["order_id"],
                }
                records.append(Record(FILLS, 1, first + len(records), None, encode(fill), now))
            del self._orders[order["order_id"]]
        return records


def live(
    records: list[Record], instruments: Sequence[Instrument], place: Path, policy: Policy | None = None
) -> Came:
    """What the live path comes to; a batch is what arrives in one millisecond, the first all until a price
    is known.
    """
    with Store(f"sqlite:///{place / 'live.db'}") as store:
        house = Live(store, instruments, policy or current_policy())
        for batch in _batches(list(in_order_of_arrival(records))):
            house.take(batch)
        engine = house.engine
        for account in engine.ledger.account_ids():
            shown = engine.account_now(account)
            figures = {name: shown[name] for name in ("cash", "equity", "requirement", "excess", "status")}
            house.came.accounts[account] = figures | {"positions": engine.ledger.positions(account)}
    return house.came


def _batches(records: list[Record]) -> Iterator[list[Record]]:
    first = next((n for n, record in enumerate(records) if record.topic == PRICES), len(records) - 1)
    begun = records[first].timestamp_ms
    early = [r for n, r in enumerate(records) if n <= first or r.timestamp_ms <= begun]
    yield early
    rest = [record for record in records if record not in early]
    for _, batch in groupby(rest, key=lambda record: record.timestamp_ms):
        yield list(batch)


def replayed(records: list[Record], instruments: Sequence[Instrument], policy: Policy | None = None) -> Came:
    """What a replay of the same records comes to,
    from the midnight before the first to the one after the last.
    """
    policy = policy or current_policy()
    days = [date_of(record.timestamp_ms) for record in records]
    job = recorded_job(
        records, instruments, policy, _midnight(min(days)), _midnight(max(days) + dt.timedelta(days=1))
    )
    return _run(job, policy) if len(job.path) else Came()


def filed(prices: Path, book: dict[str, Any], events: Iterable[Event], policy: Policy | None = None) -> Came:
    """What a backtest of a price file comes to, with these rows as the events on the way."""
    policy = policy or current_policy()
    history, flaws = price_files.read(prices)
    given = parse(book, policy, sorted({*history.symbols, *symbols_of(events)}))
    job, _ = runs.prepare(history, flaws, given, trades=[(row["topic"], row["event"]) for row in events])
    return _run(job, policy)


def symbols_of(rows: Iterable[Event]) -> set[str]:
    """Every symbol that rows of events name."""
    events = [row["event"] for row in rows if "event" in row]
    return {e[name] for e in events for name in ("symbol", "new_symbol") if e.get(name)}


def _run(job: Job, policy: Policy) -> Came:
    came, state = Came(), runs.finish(job)
    came.decisions = [
        _decision(row.time, row.account_id, row.action, row.deficiency)
        for row in state.record.decisions
        if row.action not in _QUIET
    ]
    came.sales = [
        _sale(row.time, row.account_id, row.symbol, row.qty, row.price) for row in state.record.fills
    ]
    book, market = state.holdings.book, job.path.at(len(job.path) - 1)
    margin = evaluate(book, market, policy)
    for number, account in enumerate(book.account_ids):
        named = {market.symbols[code]: qty for code, qty in state.holdings.quantity(number).items()}
        came.accounts[account] = {
            "cash": cents(float(book.cash[number])),
            "equity": cents(float(margin.published.equity[number])),
            "requirement": cents(float(margin.published.requirement[number])),
            "excess": cents(float(margin.published.excess[number])),
            "status": Status(int(margin.status[number])).name,
            "positions": named,
        }
    return came


def _midnight(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(0), NEW_YORK).timestamp() * 1000)


def _decision(at: int, account: str, kind: str, amount: float) -> tuple[Any, ...]:
    return at, account, kind, cents(amount) if kind in _SHOWN else None


def _sale(at: int, account: str, symbol: str, qty: float, price: float) -> tuple[Any, ...]:
    return at, account, symbol, qty, round(price, 6)


def lines(path: Path) -> list[Event]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
