"""Recorded events as a run: each record goes through the stream's own engine, so that what it refuses and
values at is the same.

What a replay cannot know is when a record arrived; it is taken from the order and the event times in its
partition, because records are also published faster than they happened.
"""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from margin_platform.backtest.engine.job import Job, Trade
from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.backtest.history.sample_market import INDEX
from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    decode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.ledger.awaiting_account import book_event
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.ledger import Ledger
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER

_COLUMNS = ("price", "sigma", "beta", "stale", "volatility_tier")
_MARKET = (PRICES, BETAS, VOLATILITY)
Row = dict[str, np.ndarray]


@dataclass
class _Day:
    """What a period brings.

    rows: the market at each of times (epoch milliseconds), from the first price on.
    """

    opened: int
    trades: list[Trade] = field(default_factory=list)
    ledger_events: list[Trade] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    begun: bool = False

    def bar(self, now: int, engine: MarginEngine) -> None:
        """Keep the market as it stands at a time.

        A clock that goes back shows that the bars ahead of it had not come.
        """
        while self.times and self.times[-1] >= now:
            self.times.pop()
            self.rows.pop()
        self.times.append(now)
        self.rows.append({name: getattr(engine.market, name).copy() for name in _COLUMNS})


def recorded_job(
    records: Iterable[Record], instruments: Sequence[Instrument], policy: Policy, opened: int, closed: int
) -> Job:
    """Return the run of what was recorded between two event times (epoch milliseconds),
    on the book of before.

    The job's path is empty where there is no price, its book where there is no account.
    """
    engine, day = MarginEngine(instruments, policy), _Day(opened)
    for number, record in enumerate(in_order_of_arrival(records)):
        _take(engine, day, record, number, closed)
    last = max((event["timestamp"] for topic, event in day.trades if topic != CORPORATE_ACTIONS), default=0)
    if day.times and last > day.times[-1]:  # what came after the last price is seen at it
        engine.live.mark_stale(last)
        day.bar(last, engine)
    ledger = _opening(day, engine)
    booked = frozenset(action.action_id for action in ledger.actions_in_effect())
    known = [
        trade for trade in day.trades if trade[0] == CORPORATE_ACTIONS or trade[1]["account_id"] in ledger
    ]
    rank = {topic: n for n, topic in enumerate(TOPICS_IN_ORDER)}
    trades = tuple(sorted(known, key=lambda trade: (trade[1]["timestamp"], rank[trade[0]])))
    return Job(ledger.book(engine.code_of), _path(engine, day), policy, trades, booked=booked)


def _take(engine: MarginEngine, day: _Day, record: Record, number: int, closed: int) -> None:
    """Put a record through the engine, and keep what the run needs of it."""
    try:
        event = decode(record.topic, record.value)
    except BadEvent:
        return  # it stands in dead_letter.v1
    if event["timestamp"] >= closed:
        return
    touched = engine.take_in([record], number)
    refused = bool(touched.dead)
    if record.topic == CORPORATE_ACTIONS:
        # one that contradicts another is refused and holds the symbol: the run decides so too
        if _concerns(event, engine) and not any(letter["field"] == "amount" for letter in touched.dead):
            day.trades.append((record.topic, event))
    elif record.topic not in _MARKET and not refused:
        early = event["timestamp"] < day.opened or record.topic == ACCOUNTS
        (day.ledger_events if early else day.trades).append((record.topic, event))
    now = engine.event_time
    day.begun = day.begun or (record.topic == PRICES and not refused and event["timestamp"] >= day.opened)
    moved = touched.instruments or (record.topic in _MARKET and not refused)
    if day.begun and moved and now >= day.opened:
        day.bar(now, engine)


def _concerns(event: dict[str, object], engine: MarginEngine) -> bool:
    return all(event.get(name) is None or event[name] in engine.code_of for name in ("symbol", "new_symbol"))


def _opening(day: _Day, engine: MarginEngine) -> Ledger:
    """Return the ledger as it stood when the period began."""
    ledger, known = Ledger(engine.code_of, require_account=True), AnnouncedActions()
    rank = {ACCOUNTS: 0, CASH: 1, FILLS: 2}
    for topic, event in sorted(day.ledger_events, key=lambda row: (rank[row[0]], row[1]["timestamp"])):
        with contextlib.suppress(BadEvent):  # of an account that was never announced
            book_event(ledger, topic, event)
    for topic, event in day.trades:
        if topic == CORPORATE_ACTIONS and event["timestamp"] < day.opened:
            with contextlib.suppress(BadEvent):
                known.add(event)
    for symbol in known.due(day.opened):
        ledger.restate(symbol, known.in_effect(symbol))
    return ledger


def _path(engine: MarginEngine, day: _Day) -> MarketPath:
    market, bars = engine.market, len(day.rows)
    columns = {
        name: np.array([row[name] for row in day.rows]).reshape(bars, len(market.symbols))
        for name in _COLUMNS
    }
    index = columns["price"][:, engine.code_of[INDEX]] if INDEX in engine.code_of else np.full(bars, np.nan)
    return MarketPath(
        market,
        np.array(day.times, dtype=np.int64),
        columns["price"],
        columns["sigma"],
        columns["beta"],
        columns["stale"].astype(np.bool_),
        index,
        columns["volatility_tier"].astype(np.int8),
    )


def in_order_of_arrival(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records as they came: each partition in its order, partitions merged by when their records can
    have arrived.

    A record that the next two of its partition say is ahead arrived before them (see
    `snapshots.stream_clock`).
    """
    parts: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        parts.setdefault((record.topic, record.partition), []).append(record)
    rank = {topic: n for n, topic in enumerate(TOPICS_IN_ORDER)}
    merged = heapq.merge(
        *(_arrivals(sorted(part, key=lambda r: r.offset), rank) for part in parts.values()),
        key=lambda row: row[0],
    )
    return (record for _, record in merged)


def _arrivals(part: list[Record], rank: dict[str, int]) -> Iterator[tuple[tuple[int, int, int, int], Record]]:
    arrived = 0
    times = [_event_time(record) for record in part]
    for n, record in enumerate(part):
        following = max(times[n + 1 : n + 3]) if n + 2 < len(part) else times[n]
        arrived = max(arrived, min(times[n], following))
        yield (arrived, rank[record.topic], record.partition, record.offset), record


def _event_time(record: Record) -> int:
    """Return a record's event time in epoch milliseconds, or when it was produced where it cannot be read."""
    try:
        return int(decode(record.topic, record.value)["timestamp"])
    except BadEvent:
        return record.timestamp_ms
