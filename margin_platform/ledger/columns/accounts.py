"""Accounts, what they hold and the fills behind it, as columns: figures out, and many fills in at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from margin_platform.kernel.book import REG_T, Book
from margin_platform.ledger.columns.digests import Digests
from margin_platform.ledger.columns.fills import Fills, Floats, Ints, Mask, Positions, Sums, once
from margin_platform.ledger.columns.holdings import Holdings
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.columns.texts import TextIndex, Texts
from margin_platform.ledger.current_book import CurrentBook, Opening
from margin_platform.ledger.fill_log import FillLog
from margin_platform.ledger.linked_fills import NOT_LINKED, LinkedFills
from margin_platform.ledger.micros import MICRO, from_micros
from margin_platform.ledger.order_fills import OrderFills
from margin_platform.ledger.rounding import Rounding, finer_than_kept


class Accounts:
    """Balances and positions by account. `ledger.Ledger` changes them event by event."""

    def __init__(
        self,
        known_symbols: Iterable[str] | None = None,
        *,
        require_account: bool = False,
        ids: KnownIds | None = None,
    ) -> None:
        symbols = tuple(known_symbols or ())
        self._known = None if known_symbols is None else frozenset(symbols)
        self._require_account = require_account
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._index = TextIndex()  # of the same
        self._type, self._since = array("b"), array("q")  # margin type, and since which event time
        self._cash = array("q")  # whole cents in micro-dollars, corporate actions excluded
        self._held = Holdings(symbols)
        self._rounding = Rounding()
        # account -> first of its linked symbols -> micro-dollars of actions
        self._accrued: dict[int, dict[str, int]] = {}
        self._log = FillLog(known=symbols)
        self._announced: set[str] = set()
        self._seen = KnownIds() if ids is None else ids
        self._linked = LinkedFills(symbols)
        self._order_fills = OrderFills()
        self._book = CurrentBook(self._balance, self._visible, self._opening)

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._numbers

    def __len__(self) -> int:
        return len(self._ids)

    def _open(self, account_id: str) -> int:
        number = self._numbers[account_id] = len(self._ids)
        self._ids.append(account_id)
        self._type.append(REG_T)
        self._since.append(-1)
        self._cash.append(0)
        return number

    def _balance(self, number: int) -> float:
        return (self._cash[number] + sum(self._accrued.get(number, {}).values())) / MICRO

    def cash(self, account_id: str) -> float:
        """Return the signed cash balance in dollars: negative is a debit."""
        return self._balance(self._numbers[account_id])

    def positions(self, account_id: str) -> dict[str, float]:
        """Return signed shares by symbol, flat ones left out."""
        return {s: q / MICRO for s, q in self._visible(self._numbers[account_id]).items()}

    def margin_type(self, account_id: str) -> int:
        return self._type[self._numbers[account_id]]

    def account_ids(self) -> Sequence[str]:
        """List the accounts in order of first appearance: the row order of `book`. The list grows."""
        return self._ids

    def number_of(self, account_id: str) -> int:
        """Return the account's row in `book`, for the life of this ledger."""
        return self._numbers[account_id]

    def numbers_of(self, account_ids: Texts) -> Ints:
        """Return the rows of many accounts, NOT_THERE for one that is not there."""
        return self._index.numbers_of(self._ids, account_ids)

    def book(self, code_of: dict[str, int]) -> Book:
        """Return the book as columns. Cash and known positions are kept current in place."""
        return self._book.of(self._ids, self._type, code_of)

    def _visible(self, number: int) -> dict[str, int]:
        return self._rounding.without_dust(number, self._held.of(number))

    def _opening(self) -> Opening:
        cash = from_micros(np.array(self._cash))
        for number in self._accrued:
            cash[number] = self._balance(number)
        held = self._held.laid_out(len(self._ids))
        return Opening(cash, self._held.symbols, held, self._rounding.accounts())

    def _touch(self, number: int, symbol: str | None) -> None:
        self._book.touch(number, self._type[number], symbol)

    # -- many fills at once

    def apply_fills(self, fills: Fills) -> Mask:
        """Apply at once the fills that nothing speaks against; return which. Once `apply` has taken the
        others, the result is that of all in their order.
        """
        digests = self._seen.digests("fill", fills.fill_ids, fills.account_ids)
        shares, (costs, plain) = fills.shares(), fills.costs()
        plain &= once(digests) & ~self._seen.known(digests)
        plain &= fills.times >= self._linked.adds_up_from()[fills.symbol]
        plain &= ~fills.order_ids.there
        accounts, positions = Sums.by(fills.numbers), Positions.of(fills)
        rows, held = self._held.get_many(positions.numbers, positions.symbol)
        cash = np.frombuffer(self._cash, dtype=np.int64)
        plain &= accounts.fits(cash[accounts.keys], costs) & positions.sums.fits(held, shares)
        if plain.any():
            self._log_fills(fills, plain, shares, digests)
            at, spent = accounts.of(plain, costs)
            cash[accounts.keys[at]] -= spent
            self._book.touch_cash(accounts.keys[at], self._balances(accounts.keys[at]))
            at, traded = positions.sums.of(plain, shares)
            numbers, symbol, shares = positions.numbers[at], positions.symbol[at], held[at] + traded
            self._held.put_many(rows[at], numbers, symbol, shares)
            self._book.touch_many(numbers, symbol, shares)
            for number, name in self._rounding.of(numbers, self._held.symbols, symbol):
                self._touch(number, name)
        return plain

    def _log_fills(self, fills: Fills, plain: Mask, shares: Ints, digests: Digests) -> None:
        rows = np.flatnonzero(plain)
        times, symbol = fills.times[rows], fills.symbol[rows]
        self._log.append_many(fills.numbers[rows], symbol, times, shares[rows])
        self._seen.add_many(digests[rows], times, fills.contents()[rows])
        at = rows[self._linked.adds_up_from()[symbol] != NOT_LINKED]
        names = [self._held.symbols[code] for code in fills.symbol[at].tolist()]
        columns = (fills.numbers[at], fills.times[at], shares[at])
        self._linked.keep_many(names, *(column.tolist() for column in columns))
        for n in np.flatnonzero(plain & finer_than_kept(fills.qty, shares)).tolist():
            name = self._held.symbols[fills.symbol[n]]
            self._rounding.count(int(fills.numbers[n]), name, float(fills.qty[n]), int(shares[n]))

    def _balances(self, numbers: Ints) -> Floats:
        if self._accrued:
            return np.array([self._balance(number) for number in numbers.tolist()])
        return from_micros(np.frombuffer(self._cash, dtype=np.int64)[numbers])
