"""The margin engine: events in, margin events out. What the Spark stream runs on each micro-batch, without Spark.

It holds the book (ledger), the market (newest price, beta and volatility of each instrument) and each account's last band,
and evaluates with the kernel only the accounts a batch touched. Applying the same records again changes nothing: records
below the next expected offset are skipped, and ledger events are known by their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from margin_platform.announced_actions import AnnouncedActions, refused
from margin_platform.bands import CLEAR, band_codes, needs_attention
from margin_platform.book import Instrument, Market
from margin_platform.bus import Record
from margin_platform.business_days import trading_seconds_between, trading_time_before
from margin_platform.early_events import EarlyEvents, book_event
from margin_platform.evaluate import Margin, PricedMarket, evaluate_accounts
from margin_platform.evaluation import stress_rows
from margin_platform.events import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    Event,
    dead_letter,
    decode,
)
from margin_platform.ledger import Ledger, effective_time
from margin_platform.policy import Policy
from margin_platform.price_gate import PriceGate
from margin_platform.snapshots import Inputs, calc_events, status_event, stress_events
from margin_platform.volatility import DEFAULT

# Within a batch, terms before cash before fills before the market: the order in which they make sense.
TOPICS_IN_ORDER = (ACCOUNTS, CORPORATE_ACTIONS, CASH, FILLS, BETAS, VOLATILITY, PRICES)
_STRESS_STEP = 0.05   # stress rows are published anew when the worst stressed excess moved by this share of gross value


@dataclass
class Outcome:
    """What one batch leads to, decisions first. `accounts` is how many were evaluated."""

    status: list[Event] = field(default_factory=list)
    calc: list[Event] = field(default_factory=list)
    stress: list[Event] = field(default_factory=list)
    dead: list[Event] = field(default_factory=list)
    records: int = 0
    accounts: int = 0


class MarginEngine:
    """The state of the margin stream; `process` takes a batch of records, `to_state` and `restore` make it durable."""

    def __init__(self, instruments: Sequence[Instrument], policy: Policy) -> None:
        self.policy = policy
        self.market = Market.of(instruments)
        self.code_of = self.market.code_of()
        self.ledger = Ledger(self.code_of, require_account=True)
        n = len(self.market.symbols)
        self.price_time = np.zeros(n, dtype=np.int64)
        self.previous_price = np.full(n, np.nan)
        self.gate = PriceGate(policy.prices)
        self.input_time = {BETAS: np.zeros(n, dtype=np.int64), VOLATILITY: np.zeros(n, dtype=np.int64)}
        self.bands: dict[str, int] = {}
        self.published_stress: dict[str, float] = {}
        self.next_offset: dict[str, dict[int, int]] = {topic: {} for topic in TOPICS_IN_ORDER}
        self.event_time = 0
        self.early = EarlyEvents()
        self.announced = AnnouncedActions()

    # -- a batch

    def process(self, records: Iterable[Record], batch_id: int) -> Outcome:
        """Applies records in order and evaluates what they touched. A bad record becomes a dead letter and stops nothing."""
        ordered = self._in_order(records)
        outcome = Outcome()
        offsets: dict[str, dict[str, list[int]]] = {}
        touched: set[str] = set()
        changed: set[int] = set()
        self.gate.withdrawn.clear()
        for record in ordered:
            span = offsets.setdefault(record.topic, {}).setdefault(str(record.partition), [record.offset, record.offset + 1])
            span[1] = record.offset + 1
            if record.offset < self.next_offset[record.topic].get(record.partition, 0):
                continue   # applied before; its place in the batch still counts for the batch's id
            outcome.records += 1
            self.next_offset[record.topic][record.partition] = record.offset + 1
            try:
                self._apply(record, touched, changed, outcome)
            except BadEvent as error:
                outcome.dead.append(dead_letter(record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms))
        changed |= self._mark_stale()
        inputs = Inputs(
            self.event_time, batch_id, offsets, self.price_time, self.previous_price, self.gate.reasons(), dict(self.gate.withdrawn)
        )
        self._evaluate(touched, changed, inputs, outcome)
        return outcome

    def _in_order(self, records: Iterable[Record]) -> list[Record]:
        """Records in the order they must be applied: by topic, then partition and offset."""
        rank = {topic: n for n, topic in enumerate(TOPICS_IN_ORDER)}
        return sorted(records, key=lambda r: (rank[r.topic], r.partition, r.offset))

    def _apply(self, record: Record, touched: set[str], changed: set[int], outcome: Outcome) -> None:
        topic, event = record.topic, decode(record.topic, record.value)
        self._check_time(event, record)
        if topic in (PRICES, BETAS, VOLATILITY, CORPORATE_ACTIONS) and event["symbol"] not in self.code_of:
            raise BadEvent("symbol", event["symbol"], "unknown symbol")
        if topic == CORPORATE_ACTIONS:
            self.announced.add(record, event)
        now = max(self.event_time, event["timestamp"])
        self._into_effect(now, touched, changed, outcome)
        if topic in (PRICES, BETAS, VOLATILITY):
            code = self.code_of[event["symbol"]]
            if self._market_event(topic, code, event):
                changed.add(code)
        elif topic in (FILLS, CASH) and not self.ledger.knows(event["account_id"]):
            self.early.keep(record, event)
        elif topic != CORPORATE_ACTIONS:
            touched.update(book_event(self.ledger, topic, event))
            if topic == ACCOUNTS:
                outcome.dead += self.early.book(event["account_id"], self.ledger)
        self.event_time = now

    def _into_effect(self, now: int, touched: set[str], changed: set[int], outcome: Outcome) -> None:
        """Books the corporate actions whose day has come, before anything of that day is read: holdings and price move together."""
        for action, place in self.announced.due(now):
            try:
                touched.update(book_event(self.ledger, CORPORATE_ACTIONS, action))
            except BadEvent as error:
                outcome.dead.append(refused(place, error))
                continue
            if action["kind"] == "SPLIT" and self._split(action):
                changed.add(self.code_of[action["symbol"]])

    def unannounced(self, before_ms: int) -> list[Event]:
        """Dead letters, each once, of fills and cash whose account was still unknown some time after they were produced."""
        return self.early.overdue(before_ms)

    def _check_time(self, event: Event, record: Record) -> None:
        ahead = event["timestamp"] - record.timestamp_ms
        if ahead > self.policy.prices.max_future_seconds * 1000:
            raise BadEvent("timestamp", event["timestamp"], f"{ahead / 1000:g} s after it was produced: an event from the future")

    def _market_event(self, topic: str, code: int, event: Event) -> bool:
        """Newest event time wins, arrival order breaking ties; an older event changes nothing (MARGIN_RULES 10)."""
        if topic == PRICES:
            event = self.gate.restated(code, event)
            if self.gate.passes_over(code, event, int(self.price_time[code])):
                return code in self.gate.withdrawn
            good = float(self.market.price[code])
            price = self.gate.take(code, event, None if good != good else good, int(self.price_time[code]))
            if price is not None:
                self.previous_price[code] = good
                self.price_time[code] = event["timestamp"]
                self.market.price[code] = price
            return True
        seen = self.input_time[topic]
        if event["timestamp"] < seen[code]:
            return False
        seen[code] = event["timestamp"]
        if topic == VOLATILITY:
            return self._volatility(code, event)
        different = bool(self.market.beta[code] != event["beta"])
        self.market.beta[code] = event["beta"]
        return different

    def _volatility(self, code: int, event: Event) -> bool:
        """Insufficient history stays unknown: the kernel's policy says what it counts as, and the account's inputs name it."""
        sigma = np.nan if event.get("quality") == DEFAULT else event["volatility_annual"]
        now = (sigma, event.get("tier") or 0)
        before = (float(self.market.sigma[code]), int(self.market.volatility_tier[code]))
        self.market.sigma[code], self.market.volatility_tier[code] = now
        return not np.array_equal(before, now, equal_nan=True)

    def _split(self, action: Event) -> bool:
        """Brings a symbol's price in line with a split just booked; whether it changed."""
        code = self.code_of[action["symbol"]]
        good = float(self.market.price[code])
        effective = effective_time(action)
        if not self.gate.is_new(code, action, effective) or good != good:
            return False
        explained = self.gate.suspects.get(code)
        price = self.gate.split(code, action, effective, good, int(self.price_time[code]))
        if price is not None:
            self.previous_price[code], self.market.price[code] = good, price
            if explained is not None and explained.price == price:
                self.price_time[code] = explained.timestamp
        return True

    def _mark_stale(self) -> set[int]:
        """Prices older than the policy allows, in trading time on the event clock; returns instruments whose mark changed."""
        if not self.event_time:
            return set()
        oldest = trading_time_before(self.event_time, self.policy.prices.max_price_age_seconds)
        stale = (self.price_time > 0) & (self.price_time < oldest)
        stale[list(self.gate.suspects)] = True   # set aside by the price gate: the last good price stands and holds enforcement
        different = np.flatnonzero(stale != self.market.stale)
        self.market.stale[:] = stale
        return set(different.tolist())

    def oldest_price_seconds(self) -> float | None:
        """Age of the oldest price of a held instrument against the event clock, in seconds of trading; None where none has a price."""
        times = self.price_time[self.ledger.book(self.code_of).held()]
        known = times[times > 0]
        return trading_seconds_between(int(known.min()), self.event_time) if len(known) else None

    def _evaluate(self, touched: set[str], changed: set[int], inputs: Inputs, outcome: Outcome) -> None:
        book = self.ledger.book(self.code_of)
        corrected = book.accounts_holding(np.array(sorted(self.gate.withdrawn), dtype=np.int64))
        touched = touched | {book.account_ids[number] for number in corrected}   # what rested on a withdrawn print is said anew
        own = np.array(sorted(self.ledger.number_of(a) for a in touched), dtype=np.int64)
        by_price = book.accounts_holding(np.array(sorted(changed), dtype=np.int64))
        accounts = np.union1d(own, by_price)
        if not len(accounts):
            return
        margin = evaluate_accounts(book, PricedMarket.of(self.market, self.policy), accounts)
        outcome.accounts = len(accounts)
        outcome.calc = calc_events(book, self.market, margin, inputs)
        codes = band_codes(margin)
        for row, calc in enumerate(outcome.calc):
            account, code = calc["account_id"], int(codes[row])
            before = self.bands.get(account, CLEAR)
            if code != before or (account in touched and (needs_attention(code) or needs_attention(before))):
                self.bands[account] = code
                outcome.status.append(status_event(calc, row, code, book, self.market, margin, inputs))
            self._publish_stress(calc, row, margin, outcome)

    def _publish_stress(self, calc: Event, row: int, margin: Margin, outcome: Outcome) -> None:
        worst, gross = calc["worst_stress"], calc["gross_mv"]
        if worst is None:
            return
        last = self.published_stress.get(calc["account_id"])
        if last is None or (last < 0) != (worst < 0) or abs(worst - last) > _STRESS_STEP * gross:
            self.published_stress[calc["account_id"]] = worst
            outcome.stress += stress_events(calc, stress_rows(row, margin))

    # -- durable state

    def to_state(self) -> dict[str, Any]:
        """Everything the engine knows, JSON-able, with the offsets it has applied."""
        return {
            "symbols": list(self.market.symbols), "price": _nullable(self.market.price), "previous_price": _nullable(self.previous_price),
            "beta": _nullable(self.market.beta), "sigma": _nullable(self.market.sigma),
            "volatility_tier": self.market.volatility_tier.tolist(), "stale": self.market.stale.tolist(),
            "price_time": self.price_time.tolist(), "input_time": {t: times.tolist() for t, times in self.input_time.items()},
            "ledger": self.ledger.to_state(), "bands": self.bands, "stress": self.published_stress, "event_time": self.event_time,
            "early": self.early.to_state(), "announced": self.announced.to_state(), "suspects": self.gate.to_state(self.market.symbols),
            "next_offset": {t: {str(p): o for p, o in parts.items()} for t, parts in self.next_offset.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a saved state; instruments are matched by symbol, so reference data may have grown since."""
        here = np.array([self.code_of[s] for s in state["symbols"] if s in self.code_of], dtype=np.int64)
        there = np.array([n for n, s in enumerate(state["symbols"]) if s in self.code_of], dtype=np.int64)
        columns = {name: _column(state[name]) for name in ("price", "beta", "sigma", "previous_price")}
        market = {name: getattr(self.market, name).copy() for name in ("price", "beta", "sigma")}
        for name, column in market.items():
            column[here] = columns[name][there]
        tier = self.market.volatility_tier.copy()
        if "volatility_tier" in state:   # a state saved before tiers were published has none
            tier[here] = np.array(state["volatility_tier"], dtype=np.int8)[there]
        self.market = replace(self.market, **market, volatility_tier=tier, stale=self.market.stale.copy())
        self.market.stale[here] = np.array(state["stale"], dtype=bool)[there]
        self.previous_price[here] = columns["previous_price"][there]
        self.price_time[here] = np.array(state["price_time"], dtype=np.int64)[there]
        for topic, times in state["input_time"].items():
            self.input_time[topic][here] = np.array(times, dtype=np.int64)[there]
        self.ledger = Ledger.from_state(state["ledger"], self.code_of, require_account=True)
        self.bands, self.published_stress, self.event_time = dict(state["bands"]), dict(state["stress"]), state["event_time"]
        self.next_offset = {t: {int(p): o for p, o in parts.items()} for t, parts in state["next_offset"].items()}
        self.early.restore(state["early"])
        self.announced.restore(state["announced"])
        self.gate.restore(state.get("suspects", {}), self.code_of)


def _nullable(column: np.ndarray) -> list[float | None]:
    return [None if x != x else float(x) for x in column]


def _column(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)
