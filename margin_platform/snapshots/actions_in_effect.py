"""Corporate actions on the stream's clock: kept until their day, then booked in holdings and prices together.

What a share of a symbol is now, and when that changes next, is kept for orders: they stand no longer than
that.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.announcements import place_of
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.corporate_actions import CorporateAction, effective_time, share_basis
from margin_platform.ledger.ledger import Ledger
from margin_platform.market.live_market import LiveMarket
from margin_platform.market.price_basis import out_of_proportion
from margin_platform.snapshots.outcome import Touched, refused


class ActionsInEffect:
    """Announced actions, and by symbol what its shares are (`basis`) and when that changes (`next_days`)."""

    def __init__(self) -> None:
        self.basis: dict[str, str] = {}
        self.next_days: dict[str, int] = {}
        self._announced = AnnouncedActions()

    def announce(self, record: Record, action: Event, now: int, ledger: Ledger, live: LiveMarket) -> Touched:
        """Keep a corporate action for its day, and what orders must know of it."""
        symbol, into = action["symbol"], action.get("new_symbol")
        if into is not None and into not in live.code_of:
            return Touched(dead=[refused(record, BadEvent("new_symbol", into, "unknown symbol"))])
        if reason := self._out_of_proportion(action, live, now):
            return Touched(dead=[refused(record, BadEvent("amount", action["amount"], reason))])
        dead: list[Event] = []
        try:
            self._announced.add(action, place_of(record))
        except BadEvent as error:
            dead = [refused(record, error)]
        before = self.next_days.get(symbol)
        self._note_basis(symbol, now)
        if self.next_days.get(symbol) == before:
            return Touched(dead=dead)
        # those in a call learn how long an order may stand
        return Touched(_holders(symbol, ledger, live.code_of), dead=dead)

    def _out_of_proportion(self, action: Event, live: LiveMarket, now: int) -> str | None:
        """Return why an amount cannot be dollars a share at the last price; None where it can be, where no
        price is known, or where a split changes it until then.
        """
        price = float(live.market.price[live.code_of[action["symbol"]]])
        splits = self._announced.splits(action["symbol"])
        if price != price or any(now < split.effective <= effective_time(action) for split in splits):
            return None
        return out_of_proportion(action, price)

    def into_effect(self, now: int, ledger: Ledger, live: LiveMarket) -> Touched:
        """Book what corporate actions of this time change, before anything of it is read:
        holdings and price move together.
        """
        effects, due = Touched(), self._announced.due(now)
        booked = list[CorporateAction]()
        for symbol in due:
            self._note_basis(symbol, now)
            actions = self._announced.in_effect(symbol)
            try:
                accounts = frozenset(map(ledger.number_of, ledger.restate(symbol, actions)))
            except OverflowError as error:
                unbookable = BadEvent("ratio", symbol, f"cannot be booked ({error})")
                effects = effects.also(Touched(dead=self._announced.refuse(symbol, unbookable, now)))
                continue
            repriced = live.restate(symbol, actions, self._announced.contested(symbol, now))
            effects = effects.also(Touched(accounts, repriced))
            booked += actions
        return effects.also(Touched(instruments=live.rename(booked)))

    def _note_basis(self, symbol: str, now: int) -> None:
        basis, day = (
            share_basis(self._announced.in_effect(symbol)),
            self._announced.next_reshaping(symbol, now),
        )
        self.basis.pop(symbol, None)
        self.next_days.pop(symbol, None)
        if basis is not None:
            self.basis[symbol] = basis
        if day is not None:
            self.next_days[symbol] = day

    def next_day(self) -> int:
        """Return the next event time at which `into_effect` has something to book, as far as it is known."""
        return self._announced.next_day()

    def to_state(self) -> Json:
        """Return the state, JSON-able."""
        return self._announced.to_state()

    def restore(self, state: Json, booked: Iterable[CorporateAction], now: int) -> None:
        """Continue from a saved state; booked: the actions that the ledger's positions rest on."""
        self._announced.restore(state, booked)
        for symbol in self._announced.symbols():
            self._note_basis(symbol, now)


def _holders(symbol: str, ledger: Ledger, code_of: dict[str, int]) -> frozenset[int]:
    held = ledger.book(code_of).accounts_holding(np.array([code_of[symbol]], dtype=np.int64))
    return frozenset(held.tolist())
