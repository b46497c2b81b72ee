"""One live session as a backtest: the book as Kafka has it at the open, that day's prices, and the fills
and cash on the way.
"""

from __future__ import annotations

import contextlib
import datetime as dt

import numpy as np

from margin_platform.backtest.engine.job import Job, Trade
from margin_platform.backtest.engine.known_actions import announced
from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.backtest.history.sample_market import INDEX
from margin_platform.contracts.action_terms import ActionKind
from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    Event,
    decode,
)
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.market import Market
from margin_platform.ledger.awaiting_account import book_event
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.ledger import Ledger
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import sessions_between


class NoSession(LookupError):
    """Kafka has nothing to replay of a day; the message names what is missing."""


def latest_before(now: dt.datetime) -> dt.date:
    """The last session that began on a New York date before that of an aware time."""
    today = now.astimezone(NEW_YORK).date()
    return sessions_between(today - dt.timedelta(days=14), today - dt.timedelta(days=1))[-1]


def session_job(bus: Bus, day: dt.date, policy: Policy) -> Job:
    """The job of one session. NoSession where there is no account or no price of that day."""
    opened = int(dt.datetime.combine(day, dt.time(0), NEW_YORK).timestamp() * 1000)
    closed = int(dt.datetime.combine(day + dt.timedelta(days=1), dt.time(0), NEW_YORK).timestamp() * 1000)
    market = Market.of(instruments.load())
    code_of = market.code_of()
    ledger, trades = Ledger(code_of), list[Trade]()
    actions = [
        a for a in _events(bus, CORPORATE_ACTIONS) if _concerns(a, code_of) and a["timestamp"] < closed
    ]
    trades += [(CORPORATE_ACTIONS, action) for action in actions]
    known = announced((CORPORATE_ACTIONS, action) for action in actions if action["timestamp"] < opened)
    for topic in (ACCOUNTS, CASH, FILLS):
        for event in _events(bus, topic):
            if event.get("symbol", INDEX) not in code_of:
                continue
            if event["timestamp"] < opened or topic == ACCOUNTS:
                _book(ledger, topic, event)
            elif event["timestamp"] < closed:
                trades.append((topic, event))
    for symbol in known.due(opened):
        ledger.restate(symbol, known.in_effect(symbol))
    booked = frozenset(action.action_id for action in ledger.actions_in_effect())
    ticks = [e for e in _events(bus, PRICES) if e["timestamp"] < closed and e["symbol"] in code_of]
    if not ledger.account_ids():
        raise NoSession(f"{ACCOUNTS}: no account, so nothing to replay")
    path = _path(bus, market, ticks, known, opened, closed)
    if not len(path):
        raise NoSession(f"{PRICES}: no price on {day.isoformat()}")
    told = [te for te in trades if te[0] == CORPORATE_ACTIONS or te[1]["account_id"] in ledger]
    return Job(
        ledger.book(code_of),
        path,
        policy,
        tuple(sorted(told, key=lambda te: te[1]["timestamp"])),
        booked=booked,
    )


def _concerns(action: Event, code_of: dict[str, int]) -> bool:
    """Whether an action is of known instruments only."""
    return all(action.get(name) is None or action[name] in code_of for name in ("symbol", "new_symbol"))


def _book(ledger: Ledger, topic: str, event: Event) -> None:
    """Books what the live stream booked: what it refused stands in dead_letter.v1, and a duplicate counts
    once.
    """
    with contextlib.suppress(BadEvent):
        book_event(ledger, topic, event)


def _events(bus: Bus, topic: str) -> list[Event]:
    """Checked events in event-time order;
    what does not pass went to dead_letter.v1 when the stream read it.
    """
    found = []
    for record in bus.read_all(topic):
        try:
            found.append(decode(topic, record.value))
        except BadEvent:
            continue
    return sorted(found, key=lambda e: e["timestamp"])


def _path(
    bus: Bus, market: Market, ticks: list[Event], known: AnnouncedActions, opened: int, closed: int
) -> MarketPath:
    """One bar a distinct price time of the day;
    a price stands until the next, put on the share basis of a split since.

    Volatility and betas are as last published before it.
    """
    code_of = market.code_of()
    latest, newest = np.full(len(market.symbols), np.nan), np.zeros(len(market.symbols), dtype=np.int64)
    times, rows = list[int](), list[np.ndarray]()
    for tick in ticks:
        if tick["timestamp"] >= opened and not times:
            for action in (
                a for symbol in known.symbols() for a in known.in_effect(symbol) if a.kind == ActionKind.SPLIT
            ):
                if newest[code_of[action.symbol]] < action.effective:
                    latest[code_of[action.symbol]] /= float(action.ratio)
        if tick["timestamp"] >= opened and (not times or tick["timestamp"] != times[-1]):
            times.append(tick["timestamp"])
            rows.append(latest.copy())
        latest[code_of[tick["symbol"]]], newest[code_of[tick["symbol"]]] = tick["price"], tick["timestamp"]
        if rows:
            rows[-1] = latest.copy()
    sigma = _published(bus, VOLATILITY, "volatility_annual", market, closed)
    tiers = _published(bus, VOLATILITY, "tier", market, closed)
    betas = _published(bus, BETAS, "beta", market, closed)
    price = np.array(rows).reshape(len(rows), len(market.symbols))
    shape = price.shape
    index = price[:, code_of[INDEX]] if INDEX in code_of else np.full(len(rows), np.nan)
    return MarketPath(
        market,
        np.array(times, dtype=np.int64),
        price,
        np.broadcast_to(sigma, shape).copy(),
        np.broadcast_to(betas, shape).copy(),
        np.zeros(shape, dtype=np.bool_),
        index,
        np.broadcast_to(np.nan_to_num(tiers).astype(np.int8), shape).copy(),
    )


def _published(bus: Bus, topic: str, field: str, market: Market, before: int) -> np.ndarray:
    """The newest figure of each symbol stamped before a time; NaN where none was published."""
    column = np.full(len(market.symbols), np.nan)
    code_of = market.code_of()
    for event in _events(bus, topic):
        if event["timestamp"] < before and event["symbol"] in code_of:
            column[code_of[event["symbol"]]] = event.get(field, np.nan)
    return column
