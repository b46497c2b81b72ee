"""The live market: the newest price, beta and volatility of each instrument, kept current from events, and how old they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from margin_platform.contracts.messages import BETAS, PRICES, VOLATILITY, Event
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.volatility_tiers import DEFAULT
from margin_platform.ledger.corporate_actions import effective_time
from margin_platform.market.price_gate import PriceGate
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.sessions import trading_time_before

_FIGURES = ("price", "beta", "sigma")


class LiveMarket:
    """`market` is always current. price_time: event time of each price in use, epoch milliseconds (0: none), (instruments,)."""

    def __init__(self, instruments: Sequence[Instrument], policy: Policy) -> None:
        self.policy = policy
        self.market = Market.of(instruments)
        self.code_of = self.market.code_of()
        n = len(self.market.symbols)
        self.price_time = np.zeros(n, dtype=np.int64)
        self.previous_price = np.full(n, np.nan)
        self.gate = PriceGate(policy.prices)
        self._input_time = {BETAS: np.zeros(n, dtype=np.int64), VOLATILITY: np.zeros(n, dtype=np.int64)}

    def take(self, topic: str, code: int, event: Event) -> bool:
        """One event of prices.v1, betas.v1 or volatility.v1; whether figures of its holders may have changed.

        Newest event time wins, arrival order breaking ties; an older event changes nothing (MARGIN_RULES 10).
        """
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
        seen = self._input_time[topic]
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

    def split(self, action: Event) -> bool:
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

    def mark_stale(self, event_time: int) -> set[int]:
        """Prices older than the policy allows, in trading time on the event clock; returns instruments whose mark changed."""
        if not event_time:
            return set()
        oldest = trading_time_before(event_time, self.policy.prices.max_price_age_seconds)
        stale = (self.price_time > 0) & (self.price_time < oldest)
        stale[list(self.gate.suspects)] = True   # set aside by the price gate: the last good price stands and holds enforcement
        different = np.flatnonzero(stale != self.market.stale)
        self.market.stale[:] = stale
        return set(different.tolist())

    # -- durable state

    def to_state(self) -> dict[str, Any]:
        """Copies of the columns, and what else there is, JSON-able."""
        market = self.market
        return {
            "symbols": list(market.symbols), **{name: getattr(market, name).copy() for name in _FIGURES},
            "previous_price": self.previous_price.copy(), "volatility_tier": market.volatility_tier.copy(), "stale": market.stale.copy(),
            "price_time": self.price_time.copy(), "input_time": {topic: times.copy() for topic, times in self._input_time.items()},
            "gate": self.gate.to_state(market.symbols),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a saved state; instruments are matched by symbol, so reference data may have grown since."""
        here = np.array([self.code_of[s] for s in state["symbols"] if s in self.code_of], dtype=np.int64)
        there = np.array([n for n, s in enumerate(state["symbols"]) if s in self.code_of], dtype=np.int64)
        columns = {name: getattr(self.market, name).copy() for name in (*_FIGURES, "volatility_tier", "stale")}
        for name, column in columns.items():
            column[here] = state[name][there]
        self.market = replace(self.market, **columns)
        self.previous_price[here] = state["previous_price"][there]
        self.price_time[here] = state["price_time"][there]
        for topic, times in state["input_time"].items():
            self._input_time[topic][here] = times[there]
        self.gate.restore(state["gate"], self.code_of)
