"""The ledger's book as columns, kept current event by event: only what a shape changed is laid out again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Floats
from margin_platform.ledger.columns.holdings import Laid
from margin_platform.ledger.columns.runs import rows_in_runs
from margin_platform.ledger.micros import MICRO, from_micros

Ints = NDArray[np.int64]
Shares = Mapping[str, int]  # micro-shares by symbol
_CODE_BITS = 32


class Opening(NamedTuple):
    """All accounts at once: dollars, and positions as columns with the names of their symbols by code.

    others: accounts whose positions in the columns are not those to be seen.
    """

    cash: Floats
    symbols: Sequence[str]
    held: Laid
    others: Collection[int]


class CurrentBook:
    """Columns of all accounts in their order. Nothing is laid out before it is first asked for."""

    def __init__(
        self,
        balance: Callable[[int], float],
        visible: Callable[[int], Shares],
        opening: Callable[[], Opening],
    ) -> None:
        """Read through `balance` and `visible`: an account's dollars, and its positions, by its number; at
        first through `opening`: all accounts.
        """
        self._balance = balance
        self._visible = visible
        self._opening = opening
        self._book: Book | None = None
        self._codes: Mapping[str, int] = {}
        self._code_at: Ints = np.zeros(0, dtype=np.int64)  # by the code of a symbol in the ledger's columns
        self._reshaped: set[int] = set()  # accounts whose positions the columns do not have yet
        # positions that the columns do not have as they are: accounts, codes, micro-shares; the last counts
        self._changed: list[tuple[Ints, Ints, Ints]] = []

    def of(self, ids: Sequence[str], margin_types: array[int], code_of: Mapping[str, int]) -> Book:
        """Return the book of these accounts; a new or closed position moves the columns behind it."""
        if self._book is None:
            self._codes, opening = code_of, self._opening()
            self._code_at = np.array([code_of.get(name, -1) for name in opening.symbols], dtype=np.int64)
            self._book = _opening_book(ids, margin_types, opening, code_of)
            self._reshaped = set(opening.others)
        opened = range(len(self._book), len(ids))
        if opened:
            self._book = self._book.extended(
                ids, [self._balance(n) for n in opened], margin_types[opened.start :]
            )
            self._reshaped.update(opened)
        if self._changed:
            self._book = self._book.with_positions(*self._last_changes())
            self._changed.clear()
        if self._reshaped:
            shares = {n: {code_of[s]: q / MICRO for s, q in self._visible(n).items()} for n in self._reshaped}
            self._book = self._book.reshaped(shares)
            self._reshaped.clear()
        return self._book

    def touch_many(self, numbers: Ints, codes: Ints, shares: Ints) -> None:
        """Keep current the positions of accounts that are now so many micro-shares; the next `of` sees to new
        ones and closed ones. codes: of the symbols in the ledger's columns.
        """
        if self._book is None:
            return
        known = numbers < len(self._book)
        numbers, codes, held = numbers[known], self._code_at[codes[known]], shares[known]
        rows, there = rows_in_runs(self._book.offsets, self._book.symbol, numbers, codes)
        stays = there & (held != 0)
        self._book.quantity[rows[stays]] = from_micros(held[stays])
        unknown = codes < 0
        self._reshaped.update(numbers[unknown].tolist())
        # one that was closed a moment ago still has its row
        moved = ~unknown & ((there != (held != 0)) | bool(self._changed))
        if moved.any():
            self._changed.append((numbers[moved], codes[moved], held[moved]))

    def _last_changes(self) -> tuple[Ints, Ints, Floats]:
        """Return the newest of each position's changes, in the order of accounts and codes."""
        numbers, codes, held = (np.concatenate(column) for column in zip(*self._changed, strict=True))
        _, last = np.unique((numbers << _CODE_BITS | codes)[::-1], return_index=True)
        last = len(numbers) - 1 - last
        return numbers[last], codes[last], from_micros(held[last])

    def touch_cash(self, numbers: Ints, dollars: Floats) -> None:
        """Keep the balances of accounts current."""
        if self._book is not None:
            known = numbers < len(self._book)
            self._book.cash[numbers[known]] = dollars[known]

    def touch(self, number: int, margin_type: int, symbol: str | None) -> None:
        """Keep the columns current where their shape allows it; the next `of` sees to the rest."""
        book = self._book
        if book is None or number >= len(book):
            return
        book.cash[number], book.margin_type[number] = self._balance(number), margin_type
        if symbol is None:
            return
        start, end = int(book.offsets[number]), int(book.offsets[number + 1])
        if self._changed:
            self._reshaped.add(number)
            return
        code, shares = self._codes[symbol], self._visible(number).get(symbol, 0)
        at = start + int(np.searchsorted(book.symbol[start:end], code))
        if at < end and book.symbol[at] == code and shares:
            book.quantity[at] = shares / MICRO
        else:
            self._reshaped.add(number)


def _opening_book(
    ids: Sequence[str], margin_types: Sequence[int], opening: Opening, code_of: Mapping[str, int]
) -> Book:
    """Return the book of all accounts, from their columns."""
    held, kept = opening.held, opening.held.shares != 0
    offsets, symbol, shares = held.offsets, held.symbol, held.shares
    if not kept.all():
        offsets = np.concatenate([[0], np.cumsum(kept)])[offsets]
        symbol, shares = symbol[kept], shares[kept]
    codes = np.full(len(opening.symbols), -1, dtype=np.int32)
    for n in np.flatnonzero(np.bincount(symbol, minlength=len(codes))).tolist():
        codes[n] = code_of[opening.symbols[n]]
    quantity, symbol = from_micros(shares), codes[symbol]
    if (np.diff(codes[codes >= 0]) < 0).any():  # the ledger's order of symbols is not the market's
        owner = np.repeat(np.arange(len(ids), dtype=np.int32), np.diff(offsets))
        order = np.lexsort((symbol, owner))
        symbol, quantity = symbol[order], quantity[order]
    return Book(ids, opening.cash, np.array(margin_types, dtype=np.int8), offsets, symbol, quantity)
