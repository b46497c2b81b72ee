"""Corporate actions of a run over a price history: what was announced in the end, and the prices in use as
the stream would have had them, while it knew only what was announced by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, BadEvent, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Floats, Instrument
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.ledger import Ledger
from margin_platform.market.live_market import LiveMarket
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.actions_in_effect import ActionsInEffect

Change = tuple[int, str, float, bool]  # event time, symbol, dollars a share, whether its holders are held
_NEVER = 1 << 62


def announced(events: Iterable[tuple[str, Event]]) -> AnnouncedActions:
    """Return everything these events announce.

    What contradicts another is left out, as live, where it is a dead letter.
    """
    known = AnnouncedActions()
    for topic, event in events:
        if topic == CORPORATE_ACTIONS:
            with contextlib.suppress(BadEvent):
                known.add(event)
    return known


@dataclass(frozen=True)
class PricesInUse:
    """Columns of a history, (bars, symbols): what to value at, and whose holders are held.

    changes: what corporate actions made of them between bars, in time order. refused: announcements
    whose amounts the prices belie, and why.
    """

    price: Floats
    held: NDArray[np.bool_]
    changes: tuple[Change, ...]
    refused: tuple[tuple[Event, str], ...] = ()


def prices_in_use(history: PriceHistory, events: Sequence[tuple[str, Event]], policy: Policy) -> PricesInUse:
    """Put the bars of symbols with corporate actions, and their announcements, through the stream's market.

    A bar whose jump the policy keeps is one that its source confirms.
    """
    actions = sorted((e for topic, e in events if topic == CORPORATE_ACTIONS), key=lambda e: e["timestamp"])
    market = _KnownByThen(actions, policy)
    price, held = history.prices.copy(), np.zeros(history.prices.shape, dtype=np.bool_)
    columns = [(n, symbol) for n, symbol in enumerate(history.symbols) if symbol in market.live.code_of]
    kept = {(flaw.time, flaw.column) for flaw in history.flaws}
    for bar, time in enumerate(history.times.tolist() if columns else ()):
        market.reach(time)
        for column, symbol in columns:
            if not history.stale[bar, column]:
                market.take(symbol, float(history.prices[bar, column]), time, kept=(time, symbol) in kept)
        price[bar, [n for n, _ in columns]], held[bar, [n for n, _ in columns]] = market.row(
            [symbol for _, symbol in columns]
        )
    return PricesInUse(price, held, tuple(market.changes), tuple(market.refused))


@dataclass
class _KnownByThen:
    """The stream's market, and its corporate actions, at a time."""

    actions: Sequence[Event]
    policy: Policy
    changes: list[Change] = field(default_factory=list)
    refused: list[tuple[Event, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = ("symbol", "new_symbol")
        named = {event[n] for event in self.actions for n in names if event.get(n) is not None}
        self.live = LiveMarket([Instrument(symbol=symbol) for symbol in sorted(named)], self.policy)
        self._known, self._ledger, self._read = ActionsInEffect(), Ledger(), 0

    def reach(self, time: int) -> None:
        """Announce and book what comes up to a time."""
        while (at := min(self._next_announcement(), self._known.next_day())) <= time:
            while self._next_announcement() == at:
                event = self.actions[self._read]
                record = Record(CORPORATE_ACTIONS, 0, self._read, None, encode(event), at)
                told = self._known.announce(record, event, at, self._ledger, self.live)
                self.refused += [
                    (event, letter["reason"]) for letter in told.dead if letter["field"] == "amount"
                ]
                self._read += 1
            before = self.live.held()
            touched = self._known.into_effect(at, self._ledger, self.live).instruments
            held = self.live.held()
            self.changes += [
                (at, self.live.market.symbols[code], float(self.live.market.price[code]), code in held)
                for code in sorted(touched | (held ^ before))
            ]

    def _next_announcement(self) -> int:
        return self.actions[self._read]["timestamp"] if self._read < len(self.actions) else _NEVER

    def take(self, symbol: str, price: float, time: int, *, kept: bool) -> None:
        """Take a bar as a print."""
        event = {"symbol": symbol, "price": price, "timestamp": time, "confirmed": kept}
        self.live.take(PRICES, self.live.code_of[symbol], event)

    def row(self, symbols: Sequence[str]) -> tuple[list[float], list[bool]]:
        """Return the prices in use, and whose holders are held."""
        codes, held = [self.live.code_of[symbol] for symbol in symbols], self.live.held()
        return [float(self.live.market.price[code]) for code in codes], [code in held for code in codes]
