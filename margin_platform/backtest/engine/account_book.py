"""The book of a run as columns that change: the ledger keeps the accounts that trade, the columns follow it.

Accounts that never trade cost nothing but their columns. The first event of an account (a fill, a transfer, a
corporate action on a symbol it holds) opens it in a real `Ledger`, whose arithmetic is the only one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, Event
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import held_as
from margin_platform.kernel.market import Market
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.ledger.ledger import Ledger

_OPENING = 1  # event time of opening balances: before everything


class Holdings:
    """A book under change. `book` is always current; account and instrument numbers stay what they were."""

    def __init__(self, book: Book, market: Market) -> None:
        self.book = Book(
            book.account_ids,
            book.cash.copy(),
            book.margin_type.copy(),
            book.offsets.copy(),
            book.symbol.copy(),
            book.quantity.copy(),
        )
        self._market = market
        self._names = _unique(market.symbols)
        self._code_of = {name: code for code, name in enumerate(self._names)}
        self._number_of = {a: n for n, a in enumerate(book.account_ids)}
        self._ledger = Ledger(require_account=True)

    def apply(self, topic: str, event: Event) -> list[int]:
        """Apply one event as on its topic; return the numbers of the accounts it changed.

        KeyError on an unknown account or symbol.
        """
        self._open(self._number_of[event["account_id"]])
        return self._follow(topic, event)

    def fill_all(self, fills: Iterable[tuple[int, int, float, float, str]], time: int) -> None:
        """Book assumed fills, (account, instrument row, signed shares, dollars a share, id); the columns
        follow once, at the end.
        """
        touched = set()
        for number, code, qty, price, fill_id in fills:
            self._open(number)
            event = {
                "fill_id": fill_id,
                "account_id": self.book.account_ids[number],
                "symbol": self._names[code],
                "timestamp": time,
            }
            self._ledger.apply(FILLS, event | {"qty": qty, "price": price})
            touched.add(number)
        self._write(sorted(touched))

    def restate(self, symbol: str, actions: list[CorporateAction]) -> list[int]:
        """Put a symbol's corporate actions in effect in the place of those known;
        return the numbers of the accounts this changed.
        """
        codes = [code for code, name in enumerate(self._market.symbols) if name == symbol]
        into = {action.into for action in actions} - {None}
        codes_to_open = [
            code for code, name in enumerate(self._market.symbols) if name == symbol or name in into
        ]
        for number in (
            self.book.accounts_holding(np.array(codes_to_open, dtype=np.int64)) if codes_to_open else ()
        ):
            self._open(int(number))
        touched: set[int] = set()
        for name in (self._names[code] for code in codes):
            own = [dataclasses.replace(action, symbol=name) for action in actions]
            touched.update(self._number_of[account] for account in self._ledger.restate(name, own))
        self._write(sorted(touched))
        return sorted(touched)

    def _follow(self, topic: str, event: Event) -> list[int]:
        touched = [self._number_of[a] for a in self._ledger.apply(topic, event)]
        self._write(touched)
        return touched

    def quantity(self, number: int) -> dict[int, float]:
        """Return signed shares by instrument row of one account."""
        held: dict[int, float] = {}
        for k in range(int(self.book.offsets[number]), int(self.book.offsets[number + 1])):
            code = int(self.book.symbol[k])
            held[code] = held.get(code, 0.0) + float(self.book.quantity[k])
        return held

    def state(self) -> dict[str, object]:
        """Return what a checkpoint keeps: the ledger; the columns follow from it."""
        return self._ledger.to_state()

    def restore(self, state: dict[str, object]) -> None:
        self._ledger = Ledger.from_state(state, require_account=True)
        self._write([self._number_of[a] for a in self._ledger.account_ids()])

    def _open(self, number: int) -> None:
        account_id = self.book.account_ids[number]
        if account_id in self._ledger:
            return
        opening = {"account_id": account_id, "timestamp": _OPENING}
        self._ledger.apply(ACCOUNTS, opening | {"margin_type": held_as(int(self.book.margin_type[number]))})
        self._ledger.apply(
            CASH, opening | {"transfer_id": f"opening {account_id}", "amount": float(self.book.cash[number])}
        )
        for code, qty in self.quantity(number).items():
            name = self._names[code]
            self._ledger.apply(
                FILLS,
                opening
                | {"fill_id": f"opening {account_id} {name}", "symbol": name, "qty": qty, "price": 0.0},
            )

    def _write(self, numbers: Iterable[int]) -> None:
        """Copy the ledger's accounts into the columns; rebuild the columns only where a position appears or
        goes flat.
        """
        reshape: dict[int, dict[int, float]] = {}
        for number in numbers:
            account_id = self.book.account_ids[number]
            self.book.cash[number] = self._ledger.cash(account_id)
            now = {self._code_of[s]: q for s, q in self._ledger.positions(account_id).items()}
            low, high = int(self.book.offsets[number]), int(self.book.offsets[number + 1])
            if sorted(now) == self.book.symbol[low:high].tolist():
                self.book.quantity[low:high] = [now[c] for c in sorted(now)]
            else:
                reshape[number] = now
        if reshape:
            self.book = self.book.reshaped(reshape)


def _unique(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Name every instrument row: the symbol, numbered where one symbol has several sets of figures."""
    return tuple(s if symbols.index(s) == n else f"{s}#{n}" for n, s in enumerate(symbols))
