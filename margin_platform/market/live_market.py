"""The live market: the newest price, beta and volatility of each instrument, kept current from events, and
how old they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from margin_platform.contracts.action_terms import ActionKind
from margin_platform.contracts.messages import BETAS, PRICES, VOLATILITY, Event
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.kernel.volatility_tiers import DEFAULT
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.market.figure_gate import FigureGate
from margin_platform.market.price_basis import Adjustment, on_basis
from margin_platform.market.price_gate import PriceGate, of_before
from margin_platform.market.prints import LATE_MS, Chain, Prints
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.sessions import trading_time_before

_FIGURES = ("price", "beta", "sigma")
_MOVING = (*_FIGURES, "volatility_tier", "stale")  # the columns that events and the clock change


class LiveMarket:
    """`market` is always current.

    price_time: event time of each price in use, epoch milliseconds (0: none), (instruments,).
    """

    def __init__(self, instruments: Sequence[Instrument], policy: Policy) -> None:
        self.policy = policy
        self.market = Market.of(instruments)
        self.code_of = self.market.code_of()
        n = len(self.market.symbols)
        self.price_time = np.zeros(n, dtype=np.int64)
        self.previous_price = np.full(n, np.nan)
        self.gate = PriceGate(policy.prices)
        self.figure_gate = FigureGate()
        # when the last print was produced that was too old for the price in use
        self._behind: dict[int, int] = {}
        self._behind_figures: dict[str, int] = {}  # the same of betas and volatilities, by topic and symbol
        self._priced: PricedMarket | None = None
        self._priced_at: dict[str, np.ndarray] = {}  # the moving columns that `_priced` rests on
        self._input_time = {BETAS: np.zeros(n, dtype=np.int64), VOLATILITY: np.zeros(n, dtype=np.int64)}

    def take(self, topic: str, code: int, event: Event, produced: int | None = None) -> bool:
        """Take in one event of prices.v1, betas.v1 or volatility.v1; report whether figures of its holders
        may have changed.

        Newest event time wins, arrival order breaking ties; an older event changes nothing (MARGIN_RULES 10).
        produced: when its record was produced, epoch milliseconds; by default at its own time.
        """
        produced = event["timestamp"] if produced is None else produced
        if topic == PRICES:
            self._forget_time_ahead(code, event["timestamp"], produced)
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
        seen, name = self._input_time[topic], f"{topic} {event['symbol']}"
        if event["timestamp"] >= seen[code]:
            self._behind_figures.pop(name, None)
        elif not self._was_ahead(name, int(seen[code]), produced):
            return False
        self._hold_implausible(topic, code, event)
        seen[code] = event["timestamp"]
        if topic == VOLATILITY:
            return self._volatility(code, event)
        different = bool(self.market.beta[code] != event["beta"])
        self.market.beta[code] = event["beta"]
        return different

    def take_prints(self, prints: Prints) -> np.ndarray:
        """Take in the prints of symbols that nothing contradicts; return which. `take` judges the others."""
        chain = Chain.of(prints, self.market.price, self.price_time, self.gate.sequence_of)
        doubted = ~chain.plain(self.policy.prices) | ~self.gate.settled(chain.prints.codes, chain.good_times)
        judged = np.isin(np.arange(len(self.price_time)), chain.prints.codes[doubted])
        rows = np.flatnonzero(chain.last & ~judged[chain.prints.codes])
        newest = chain.prints.take(rows)
        self.previous_price[newest.codes] = chain.good[rows]
        self.price_time[newest.codes] = newest.times
        self.market.price[newest.codes] = newest.prices
        self.gate.follow(newest)
        for code in self._behind.keys() & newest.codes.tolist():
            del self._behind[code]
        return ~judged[prints.codes]

    def _hold_implausible(self, topic: str, code: int, event: Event) -> None:
        """Raise BadEvent for a beta or a measured volatility that awaits a second one."""
        if topic == BETAS or event.get("quality") != DEFAULT:
            known, figure = (
                (self.market.beta, "beta") if topic == BETAS else (self.market.sigma, "volatility_annual")
            )
            self.figure_gate.pass_on(
                topic, event["symbol"], float(known[code]), event[figure], event["timestamp"]
            )

    def _forget_time_ahead(self, code: int, event_time: int, produced: int) -> None:
        """Let a print count again where the price in use carries a time that has not come:
        a fast host must not freeze a symbol.

        Prints of a symbol stand in one partition, in the order of their arrival. Two in a row that were
        produced well before the time of the price in use show that its clock was ahead; one may only be late.
        """
        if produced >= max(self.price_time[code], self.gate.newest(code)) - LATE_MS:
            self._behind.pop(code, None)
        elif 0 < self._behind.get(code, 0) < produced:
            del self._behind[code]
            self.price_time[code] = min(int(self.price_time[code]), event_time)
            self.gate.forget_times(code)
        else:
            self._behind[code] = produced

    def _was_ahead(self, name: str, seen: int, produced: int) -> bool:
        """Return True where two figures in a row were produced well before the time of the one in use: its
        host's clock was ahead. One may only be late.
        """
        before, is_late = self._behind_figures.pop(name, 0), produced < seen - LATE_MS
        if is_late and not 0 < before < produced:
            self._behind_figures[name] = produced
            return False
        return is_late

    def _volatility(self, code: int, event: Event) -> bool:
        """Take in a volatility; insufficient history stays unknown: the kernel's policy sets what it counts
        as, and the account's inputs name it.
        """
        sigma = np.nan if event.get("quality") == DEFAULT else event["volatility_annual"]
        now = (sigma, event.get("tier") or 0)
        before = (float(self.market.sigma[code]), int(self.market.volatility_tier[code]))
        self.market.sigma[code], self.market.volatility_tier[code] = now
        return not np.array_equal(before, now, equal_nan=True)

    def restate(
        self, symbol: str, actions: Sequence[CorporateAction], contested: str | None = None
    ) -> set[int]:
        """Bring prices in line with the actions of a symbol now in effect;
        return the instruments that changed.

        contested: why its holdings are in doubt, so that nothing is enforced on its holders; None where they
        are not.
        """
        code = self.code_of[symbol]
        good, aside = float(self.market.price[code]), self.gate.suspects.get(code)
        reason = self.gate.reasons().get(code)
        price = self.gate.rebase(code, symbol, actions, good, int(self.price_time[code]))
        self.gate.contested.pop(code, None)
        if contested is not None:
            self.gate.contested[code] = contested
        changed = {code} if self.gate.reasons().get(code) != reason else set()
        if aside is not self.gate.suspects.get(code):
            changed.add(code)
        if price is not None:
            changed.add(code)
            self.previous_price[code], self.market.price[code] = good, price
            if aside is not None and code not in self.gate.suspects:
                self.price_time[code] = max(aside.timestamp, int(self.price_time[code]))
        return changed

    def rename(self, actions: Iterable[CorporateAction]) -> set[int]:
        """Give new symbols the figures of those they replace, all of a time at once; return the instruments
        that changed.
        """
        changes = [action for action in actions if action.kind == ActionKind.SYMBOL_CHANGE]
        if not changes:
            return set()
        before = {name: getattr(self.market, name).copy() for name in (*_FIGURES, "volatility_tier")}
        before["price_time"] = self.price_time.copy()
        return {code for change in changes for code in self._inherit(change, before)}

    def _inherit(self, change: CorporateAction, before: dict[str, np.ndarray]) -> set[int]:
        """Give a new symbol the price of the one it replaces, with beta and volatility, unless it has traded
        since.

        A price of its own from before that day is another company's, which gave the symbol up.
        """
        if change.into is None:
            return set()
        old, new = self.code_of[change.symbol], self.code_of[change.into]
        fresh = bool(np.isnan(self.market.price[new]))
        others = not fresh and self.price_time[new] < change.effective
        if not (fresh or others) or np.isnan(before["price"][old]):
            return set()
        self.gate.suspects.pop(new, None)
        self.price_time[new] = before["price_time"][old]
        for name in (*_FIGURES, "volatility_tier"):
            column, value = getattr(self.market, name), before[name][old]
            if name in ("price", "volatility_tier") or (value == value and (others or np.isnan(column[new]))):
                column[new] = value
        return {new}

    def mark_stale(self, event_time: int) -> set[int]:
        """Mark prices older than the policy allows, in trading time on the event clock; return instruments
        whose mark changed.
        """
        if not event_time:
            return set()
        oldest = trading_time_before(event_time, self.policy.prices.max_price_age_seconds)
        stale = (self.price_time > 0) & (self.price_time < oldest)
        stale[list(self.held())] = True
        different = np.flatnonzero(stale != self.market.stale)
        self.market.stale[:] = stale
        return set(different.tolist())

    def held(self) -> set[int]:
        """Return the instruments on which nothing is enforced, whatever the age of their prices: a print set
        aside, holdings in doubt, a price that still carries what was spun off.
        """
        return {*self.gate.reasons(), *self.gate.before_spin_off(self.price_time)}

    def priced(self) -> PricedMarket:
        """Return the market of now, priced under the policy:
        only the instruments that moved are priced again.
        """
        moving = {name: getattr(self.market, name) for name in _MOVING}
        if self._priced is None or self._priced.market is not self.market:
            self._priced = PricedMarket.of(self.market, self.policy)
            self._priced_at = {name: column.copy() for name, column in moving.items()}
            return self._priced
        moved = np.any([_differ(column, self._priced_at[name]) for name, column in moving.items()], axis=0)
        codes = np.flatnonzero(moved)
        if len(codes):
            self._priced = self._priced.with_prices(codes, self.market.price[codes])
            for name, column in moving.items():
                self._priced_at[name][codes] = column[codes]
        return self._priced

    # -- durable state

    def to_state(self) -> dict[str, object]:
        """Copy the columns, and what else there is, JSON-able."""
        market = self.market
        return {
            "symbols": list(market.symbols),
            **{name: getattr(market, name).copy() for name in _FIGURES},
            "previous_price": self.previous_price.copy(),
            "volatility_tier": market.volatility_tier.copy(),
            "stale": market.stale.copy(),
            "price_time": self.price_time.copy(),
            "input_time": {topic: times.copy() for topic, times in self._input_time.items()},
            "gate": self.gate.to_state(market.symbols),
            "figure_gate": self.figure_gate.to_state(),
            "behind_figures": dict(self._behind_figures),
            "behind": {market.symbols[code]: at for code, at in self._behind.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; instruments are matched by symbol, so reference data may have grown
        since.
        """
        here = np.array([self.code_of[s] for s in state["symbols"] if s in self.code_of], dtype=np.int64)
        there = np.array([n for n, s in enumerate(state["symbols"]) if s in self.code_of], dtype=np.int64)
        columns = {
            name: getattr(self.market, name).copy() for name in (*_FIGURES, "volatility_tier", "stale")
        }
        for name, column in columns.items():
            column[here] = state[name][there]
        self.market = replace(self.market, **columns)
        self.previous_price[here] = state["previous_price"][there]
        self.price_time[here] = state["price_time"][there]
        for topic, times in state["input_time"].items():
            self._input_time[topic][here] = times[there]
        self.gate.restore(state["gate"], self.code_of)
        if "adjustments" not in state["gate"]:
            self._take_out_dividends(of_before(state["gate"]))
        self.figure_gate.restore(state.get("figure_gate", {}))
        self._behind_figures = dict(state.get("behind_figures", {}))
        self._behind = {
            self.code_of[symbol]: at
            for symbol, at in state.get("behind", {}).items()
            if symbol in self.code_of
        }

    def _take_out_dividends(self, adjustments: Mapping[str, Sequence[Adjustment]]) -> None:
        """Lower prices of before an ex-date, which an earlier version left as they were until a print."""
        for symbol, rows in adjustments.items():
            if symbol in self.code_of:
                code = self.code_of[symbol]
                dividends = [(at, paid, 1.0) for at, paid, _ in rows]
                price, since = float(self.market.price[code]), int(self.price_time[code])
                self.market.price[code] = on_basis(price, since, dividends)


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return where two columns differ; unknown (NaN) and unknown are equal."""
    different: np.ndarray = (one != other) & ~((one != one) & (other != other))
    return different
