"""The ledger's book as columns, kept current event by event: only what a shape changed is laid out again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.ledger.micros import MICRO

Shares = Mapping[str, int]  # micro-shares by symbol


class CurrentBook:
    """Columns of all accounts in their order. Nothing is laid out before it is first asked for."""

    def __init__(self, balance: Callable[[int], float], visible: Callable[[int], Shares]) -> None:
        """Read through `balance` and `visible`: an account's dollars, and its positions, by its number."""
        self._balance = balance
        self._visible = visible
        self._book: Book | None = None
        self._codes: Mapping[str, int] = {}
        self._reshaped: set[int] = set()  # accounts whose positions the columns do not have yet

    def of(self, ids: Sequence[str], margin_types: array[int], code_of: Mapping[str, int]) -> Book:
        """Return the book of these accounts; a new or closed position moves the columns behind it."""
        if self._book is None:
            self._codes, self._book = code_of, Book.of([])
        opened = range(len(self._book), len(ids))
        if opened:
            self._book = self._book.extended(
                ids, [self._balance(n) for n in opened], margin_types[opened.start :]
            )
            self._reshaped.update(opened)
        if self._reshaped:
            shares = {n: {code_of[s]: q / MICRO for s, q in self._visible(n).items()} for n in self._reshaped}
            self._book = self._book.reshaped(shares)
            self._reshaped.clear()
        return self._book

    def touch(self, number: int, margin_type: int, symbol: str | None) -> None:
        """Keep the columns current where their shape allows it; the next `of` sees to the rest."""
        book = self._book
        if book is None or number >= len(book):
            return
        book.cash[number], book.margin_type[number] = self._balance(number), margin_type
        if symbol is None:
            return
        start, end = int(book.offsets[number]), int(book.offsets[number + 1])
        code, shares = self._codes[symbol], self._visible(number).get(symbol, 0)
        at = start + int(np.searchsorted(book.symbol[start:end], code))
        if at < end and book.symbol[at] == code and shares:
            book.quantity[at] = shares / MICRO
        else:
            self._reshaped.add(number)
