"""One week both ways: events through the stream's engine, the enforcement store and its timers,
against the backtest. Same decisions.

The live side is the code that runs live (volatility engine, margin engine, enforcer on SQLite, liquidation
proposal) without Kafka and Spark in between. The venue's fill is the backtest's assumption: the whole order
at the close less slippage.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from margin_platform.backtest import runs
from margin_platform.backtest.books import generated
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.liquidation_sales import sales
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.contracts.messages import (
    ACCOUNTS,
    AUDIT,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    MARGIN_STATUS,
    PRICES,
    VOLATILITY,
    Event,
    deterministic_id,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.documents.book_input import BookInput
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kernel.book import MARGIN_TYPES, Book
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.market import instruments
from margin_platform.money import cents
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.store.store import Store
from margin_platform.volatility.engine import VolatilityEngine
from tests.support import field_cases
from tests.support.amended_actions import AMENDED, MONDAY, at, opening, printed

FIRST, LAST = dt.date(2020, 3, 11), dt.date(2020, 3, 18)  # -9.5% on the Thursday, -12% on the Monday


@pytest.fixture(scope="module")
def job() -> Job:
    prices = {str(s): float(p) for s, p in sample_market.closes().loc[FIRST.isoformat()].items()}
    given = runs.keeping_jumps(
        runs.generated_book(generated.generate(generated.usual_counts(250), prices), current_policy())
    )
    return runs.prepare(runs.sample_history(), [], given, first=FIRST, last=LAST, trades=TRADES)[0]


def _on_the_17th(topic: str, number: int, minute: int, **fields: Any) -> tuple[str, Event]:
    at = dt.datetime(2020, 3, 17, 13, minute, tzinfo=dt.UTC)  # 09:00 New York and some minutes
    return topic, fields | {
        "account_id": f"PORTFOLIO-MARGIN-{number:05d}",
        "timestamp": int(at.timestamp() * 1000),
    }


# Between two closes, each a decision of its own: a deposit that meets a call, a purchase by an account in a
# call, a withdrawal. Of portfolio-margin accounts: their requirement does not rest on the volatility of the
# close before, which arrives here with the next.
TRADES = (
    _on_the_17th(CASH, 13, 45, transfer_id="in", amount=40_000.0),
    _on_the_17th(FILLS, 18, 47, fill_id="more", symbol="KO", qty=5000.0, price=40.0),
    _on_the_17th(CASH, 19, 49, transfer_id="out", amount=-500_000.0),
)


class Live:
    """The live pipeline without Kafka and Spark: topics are lists, a batch is what one bar brings."""

    def __init__(self, job: Job, store: Store) -> None:
        self.policy = job.policy
        self.engine = MarginEngine(instruments.load(), job.policy)
        self.volatility = VolatilityEngine(job.policy)
        self.enforcer = Enforcer(store, job.policy)
        self.offsets: dict[str, int] = {}
        self.batches = 0
        self.status_offset = 0
        self.decisions: list[tuple[int, str, str, float]] = []

    def records(self, topic: str, events: Iterable[Event]) -> Iterator[Record]:
        for event in events:
            offset = self.offsets.get(topic, 0)
            self.offsets[topic] = offset + 1
            yield Record(topic, 0, offset, None, encode(event), event["timestamp"])

    def batch(self, records: Iterable[Record]) -> set[str]:
        """One micro-batch and its enforcement run; returns the accounts to liquidate."""
        outcome = self.engine.process(list(records), self.batches)
        self.batches += 1
        assert outcome.dead == []
        sourced = []
        for event in outcome.status:
            sourced.append((event, (MARGIN_STATUS, 0, self.status_offset)))
            self.status_offset += 1
        return self._note(self.enforcer.handle_many(sourced))

    def timers(self, until: int) -> set[str]:
        return self._note(self.enforcer.fire_timers(until))

    def _note(self, messages: Iterable[tuple[str, Event]]) -> set[str]:
        made = [e for topic, e in messages if topic == AUDIT]
        self.decisions += [
            (e["timestamp"], e["account_id"], e["decision"], round(e["amount"], 2)) for e in made
        ]
        return {e["account_id"] for e in made if e["decision"] == "LIQUIDATE"}

    def sell(self, accounts: set[str], time: int) -> list[Event]:
        """The fills of these accounts' liquidation orders at the prices of now."""
        book = self.engine.ledger.book(self.engine.code_of)
        priced = PricedMarket.of(self.engine.market, self.policy)
        slip = self.policy.backtest.fill_slippage
        fills = []
        for account in sorted(accounts):
            for _, code, qty in sales([self.engine.ledger.number_of(account)], book, priced):
                price = float(priced.market.price[code]) * (1 - slip if qty < 0 else 1 + slip)
                identity = deterministic_id(account, code, time, len(fills))
                fills.append(
                    {
                        "fill_id": identity,
                        "account_id": account,
                        "symbol": priced.market.symbols[code],
                        "qty": qty,
                        "price": price,
                        "timestamp": time,
                    }
                )
        return fills


def _opening(job: Job) -> dict[str, list[Event]]:
    """Accounts, deposits and fills that leave the job's book, a minute before the first bar."""
    at = int(job.path.times[0]) - 60_000
    topics: dict[str, list[Event]] = {ACCOUNTS: [], CASH: [], FILLS: []}
    names = {code: name for name, code in MARGIN_TYPES.items()}
    price, symbols, book = job.path.price[0], job.path.market.symbols, job.book
    for n, account in enumerate(book.account_ids):
        held = range(int(book.offsets[n]), int(book.offsets[n + 1]))
        cost = sum(cents(float(book.quantity[k] * price[book.symbol[k]])) for k in held)
        topics[ACCOUNTS].append(
            {"account_id": account, "margin_type": names[int(book.margin_type[n])], "timestamp": at}
        )
        topics[CASH].append(
            {
                "account_id": account,
                "transfer_id": account,
                "amount": float(book.cash[n]) + cost,
                "timestamp": at,
            }
        )
        for k in held:
            code = int(book.symbol[k])
            fill = {
                "fill_id": f"{account} {symbols[code]}",
                "symbol": symbols[code],
                "qty": float(book.quantity[k]),
            }
            topics[FILLS].append(fill | {"account_id": account, "price": float(price[code]), "timestamp": at})
    return topics


def _live(job: Job, store: Store) -> Live:
    live = Live(job, store)
    symbols = job.path.market.symbols
    history = sample_market.window(sample_market.closes(), FIRST, 46).iloc[:-1]
    before = [
        {"symbol": str(s), "price": float(p), "timestamp": sample_market.close_time(day.date())}
        for day, row in zip(history.index, history.to_numpy(), strict=True)
        for s, p in zip(history.columns, row, strict=True)
    ]
    published = live.volatility.process(live.records(PRICES, before))
    betas = [
        {"symbol": s, "beta": float(b), "timestamp": before[-1]["timestamp"]}
        for s, b in zip(symbols, job.path.beta[0], strict=True)
    ]
    opening = _opening(job)
    trades = list(job.trades)
    for bar, time in enumerate(job.path.times.tolist()):
        due: set[str] = set()
        while trades and (at := trades[0][1]["timestamp"]) <= time:
            topic, event = trades.pop(0)
            due |= live.timers(at)
            due |= live.batch(live.records(topic, [event]))
        due |= live.timers(time)
        ticks = [
            {"symbol": s, "price": float(p), "timestamp": time}
            for s, p in zip(symbols, job.path.price[bar], strict=True)
        ]
        prices = list(live.records(PRICES, ticks))
        batch = [*live.records(VOLATILITY, published), *prices]
        if bar == 0:
            batch += [r for topic, events in opening.items() for r in live.records(topic, events)]
            batch += live.records(BETAS, betas)
        due |= live.batch(batch)
        while due and (fills := live.sell(due, time)):
            due = live.batch(live.records(FILLS, fills))
        published = live.volatility.process(prices)
    return live


def test_a_week_live_and_in_a_backtest_decides_the_same(job: Job, tmp_path: Path) -> None:
    result = runs.execute(job, (), "backtest")
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        live = _live(job, store)
    ours = sorted(
        (r.time, r.account_id, r.action, r.deficiency if r.action in ("CALL", "CALL_INCREASED") else None)
        for r in result.record.decisions
    )
    theirs = sorted(
        (t, a, k, amount if k in ("CALL", "CALL_INCREASED") else None) for t, a, k, amount in live.decisions
    )
    assert ours == theirs
    between = {(a[-2:], k) for t, a, k, _ in theirs if t in [event["timestamp"] for _, event in TRADES]}
    assert {("13", "CALL_CURED"), ("18", "CALL_INCREASED"), ("19", "CALL")} <= between
    kinds = {k for _, _, k, _ in theirs}
    assert {
        "WARNING",
        "CALL",
        "CALL_INCREASED",
        "CLOSE_ONLY",
        "STRESS_RESTRICTION",
        "LIQUIDATE",
        "CALL_CURED",
    } <= kinds


def test_the_books_of_both_sides_end_with_the_same_equity(job: Job, tmp_path: Path) -> None:
    result = runs.execute(job, (), "backtest")
    with Store(f"sqlite:///{tmp_path / 'live.db'}") as store:
        engine = _live(job, store).engine
    price = dict(zip(job.path.market.symbols, job.path.price[-1].tolist(), strict=True))
    live = [
        engine.ledger.cash(a) + sum(q * price[s] for s, q in engine.ledger.positions(a).items())
        for a in job.book.account_ids
    ]
    assert np.allclose(live, result.final_equity, atol=0.001)


def test_the_comparison_notices_a_different_policy(job: Job, tmp_path: Path) -> None:
    """Guards the comparison itself: under a stricter policy the two sides must differ."""
    other: Any = dataclasses.replace(job, policy=job.policy.override({"long_rate": 0.35}))
    strict = runs.execute(other, (), "strict")
    plain = runs.execute(job, (), "plain")
    assert [r[:4] for r in strict.record.decisions] != [r[:4] for r in plain.record.decisions]


CASES = [
    "corrected-corporate-action/events.jsonl",
    "corrected-corporate-action/moved_date.jsonl",
    "corrected-corporate-action/after_ex_date.jsonl",
    "split-and-dividend-one-day/a_split_z_dividend.jsonl",
    "split-and-dividend-one-day/a_dividend_z_split.jsonl",
]
GAPS = {"on_hole": "stale", "on_missing_date": "skip", "on_no_history": "stale"}


def _replayed(rows: list[Event]) -> runs.RunResult:
    """The events of a field case as a backtest: prices are the history, all else are events on the way."""
    ticks = [row["event"] for row in rows if row["topic"] == PRICES]
    table = pd.DataFrame(ticks).pivot_table(
        index="timestamp", columns="symbol", values="price", aggfunc="last"
    )
    shape = table.shape
    history = PriceHistory(
        table.index.to_numpy(np.int64),
        tuple(table.columns),
        table.to_numpy(np.float64),
        np.zeros(shape, bool),
        np.arange(shape[0]),
    )
    symbols = [Instrument(symbol=symbol) for symbol in ("AAA", "BBB", "CCC")]
    policy = current_policy().override(GAPS)
    book = BookInput(Book.of([("A", 0.0, MARGIN_TYPES["REG_T"], [])]), Market.of(symbols), policy)
    trades = [
        (row["topic"], row["event"]) for row in rows if row["topic"] in (CASH, FILLS, CORPORATE_ACTIONS)
    ]
    return runs.execute(runs.prepare(history, [], book, trades=trades)[0], (), "case")


@pytest.mark.parametrize("name", CASES)
def test_a_field_case_comes_to_the_same_live_and_replayed(name: str) -> None:
    rows = field_cases.lines(name)
    live, replayed = field_cases.fed(rows), _replayed(rows)
    assert replayed.final_equity.tolist() == pytest.approx([field_cases.stands(live)["equity"]])
    acted = {"CALL", "LIQUIDATE", "CLOSE_ONLY", "WARNING"}
    assert [row.action for row in replayed.record.decisions if row.action in acted] == [
        d for d in live.decisions("A") if d in acted
    ]


@pytest.mark.parametrize("name", AMENDED)
def test_an_amended_action_comes_to_the_same_live_and_replayed(name: str) -> None:
    told, _, price = AMENDED[name]
    rows = [*opening(), *told, *MONDAY, printed(price, at(10, 9, 40))]
    live, replayed = field_cases.fed(rows), _replayed(rows)
    assert replayed.final_equity.tolist() == pytest.approx([field_cases.stands(live)["equity"]])
    assert not any(row.action in ("CALL", "LIQUIDATE") for row in replayed.record.decisions)
