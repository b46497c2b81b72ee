"""Accounts, what they hold and the fills behind it, as columns: figures out, and many fills in at once."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np

from margin_platform.kernel.book import REG_T, Book
from margin_platform.ledger.columns.fills import Fills, Floats, Ints, Mask, Positions, Sums, once
from margin_platform.ledger.columns.holdings import Holdings
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.current_book import CurrentBook, Opening
from margin_platform.ledger.fill_log import FillLog
from margin_platform.ledger.linked_fills import LinkedFills
from margin_platform.ledger.micros import MICRO, from_micros
from margin_platform.ledger.order_fills import OrderFills
from margin_platform.ledger.rounding import Rounding, finer_than_kept

_NEVER = np.iinfo(np.int64).max


class Accounts:
    """Balances and positions by account. `ledger.Ledger` changes them event by event."""

    def __init__(
        self,
        known_symbols: Iterable[str] | None = None,
        *,
        require_account: bool = False,
        ids: KnownIds | None = None,
    ) -> None:
        symbols = None if known_symbols is None else tuple(known_symbols)
        self._known = None if symbols is None else frozenset(symbols)
        self._require_account = require_account
        self._ids: list[str] = []
        self._numbers: dict[str, int] = {}
        self._type, self._since = array("b"), array("q")  # margin type, and since which event time
        self._cash = array("q")  # whole cents in micro-dollars, corporate actions excluded
        self._held = Holdings(symbols or ())
        self._rounding = Rounding()
        # account -> first of its linked symbols -> micro-dollars of actions
        self._accrued: dict[int, dict[str, int]] = {}
        self._log = FillLog()
        self._announced: set[str] = set()
        self._seen = KnownIds() if ids is None else ids
        self._linked = LinkedFills()
        self._order_fills = OrderFills()
        self._book = CurrentBook(self._balance, self._visible, self._opening)

    def __contains__(self, account_id: str) -> bool:
        return account_id in self._numbers

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

    def account_ids(self) -> list[str]:
        """List the accounts in order of first appearance: the row order of `book`."""
        return list(self._ids)

    def number_of(self, account_id: str) -> int:
        """Return the account's row in `book`, for the life of this ledger."""
        return self._numbers[account_id]

    def numbers_of(self, account_ids: Iterable[str]) -> Ints:
        """Return the rows of many accounts; -1 for one that is not there."""
        return np.array([self._numbers.get(account_id, -1) for account_id in account_ids], dtype=np.int64)

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
        since = np.fromiter(map(self._adds_up_from, fills.symbols), np.int64, len(fills.symbols))
        plain &= fills.times >= since[fills.symbol]
        plain &= np.fromiter((o is None for o in fills.order_ids), np.bool_, len(plain))
        accounts, positions = Sums.by(fills.numbers), Positions.of(fills)
        held = self._held.get_many(positions.numbers, fills.symbols, positions.symbol)
        cash = np.frombuffer(self._cash, dtype=np.int64)
        plain &= accounts.fits(cash[accounts.keys], costs) & positions.sums.fits(held, shares)
        if plain.any():
            self._log_fills(fills, plain, shares, digests)
            at, spent = accounts.of(plain, costs)
            cash[accounts.keys[at]] -= spent
            self._book.touch_cash(accounts.keys[at], self._balances(accounts.keys[at]))
            at, traded = positions.sums.of(plain, shares)
            self._hold_many(positions.numbers[at], fills.symbols, positions.symbol[at], held[at] + traded)
        return plain

    def _adds_up_from(self, symbol: str) -> int:
        known = self._known is None or symbol in self._known
        return self._linked.adds_up_from(symbol) if known else _NEVER

    def _log_fills(self, fills: Fills, plain: Mask, shares: Ints, digests: list[bytes]) -> None:
        rows, contents = np.flatnonzero(plain), fills.contents()
        if len(rows) < len(plain):
            kept = rows.tolist()
            digests, contents = [digests[n] for n in kept], [contents[n] for n in kept]
        times, symbol = fills.times[rows], fills.symbol[rows]
        self._log.append_many(fills.numbers[rows], fills.symbols, symbol, times, shares[rows])
        self._seen.add_many(digests, times, contents)
        linked = [n for n, name in enumerate(fills.symbols) if name in self._linked]
        if linked:
            at = rows[np.isin(symbol, linked)]
            names = [fills.symbols[n] for n in fills.symbol[at].tolist()]
            columns = (fills.numbers[at], fills.times[at], shares[at])
            self._linked.keep_many(names, *(column.tolist() for column in columns))
        for n in np.flatnonzero(plain & finer_than_kept(fills.qty, shares)).tolist():
            self._rounding.count(
                int(fills.numbers[n]), fills.symbols[fills.symbol[n]], float(fills.qty[n]), int(shares[n])
            )

    def _hold_many(self, numbers: Ints, symbols: list[str], symbol: Ints, shares: Ints) -> None:
        self._held.put_many(numbers, symbols, symbol, shares)
        self._book.touch_many(numbers, symbols, symbol, shares)
        for number, name in self._rounding.of(numbers, symbols, symbol):
            self._touch(number, name)

    def _balances(self, numbers: Ints) -> Floats:
        if self._accrued:
            return np.array([self._balance(number) for number in numbers.tolist()])
        return from_micros(np.frombuffer(self._cash, dtype=np.int64)[numbers])
