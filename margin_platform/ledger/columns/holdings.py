"""What accounts hold, as columns: an account's positions are one run of neighbors, by symbol.

A position that is new has no place in its run. Its account is then kept apart, until the columns are laid out
again with all such accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.book import rows_in_runs, with_runs
from margin_platform.ledger.columns.pairs import sums_by_pair
from margin_platform.ledger.fill_log import FillLog

_FEWEST_APART = 4096
_MANY_NEW = 64  # positions that are laid out at once
_SHARE_APART = 32  # one account of so many is kept apart before the columns are laid out again

Numbers = NDArray[np.int64]


class Laid(NamedTuple):
    """Positions as columns. Account a's are offsets[a]:offsets[a + 1], by symbol code; shares: micro-shares,
    zero where a position was closed.
    """

    offsets: NDArray[np.int64]
    symbol: NDArray[np.int32]
    shares: NDArray[np.int64]


class Holdings:
    """Micro-shares by account number and symbol."""

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        """Start without accounts. symbols: those that have a code, in the order of their codes."""
        self.symbols = list(symbols)
        self._codes = {name: code for code, name in enumerate(self.symbols)}
        self._laid = Laid(
            np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64)
        )
        self._apart: dict[int, dict[int, int]] = {}  # micro-shares by code, of accounts that the columns miss

    def of(self, number: int) -> dict[str, int]:
        """Return an account's micro-shares by symbol, flat ones left out."""
        return {self.symbols[code]: shares for code, shares in self._run(number).items() if shares}

    def _run(self, number: int) -> Mapping[int, int]:
        apart = self._apart.get(number)
        if apart is not None or number + 1 >= len(self._laid.offsets):
            return apart or {}
        start, end = self._laid.offsets[number : number + 2].tolist()
        return dict(
            zip(self._laid.symbol[start:end].tolist(), self._laid.shares[start:end].tolist(), strict=True)
        )

    def get(self, number: int, symbol: str) -> int:
        """Return an account's micro-shares of a symbol."""
        code = self._codes.get(symbol)
        if code is None:
            return 0
        row = self._row(number, code)
        return self._apart.get(number, {}).get(code, 0) if row is None else int(self._laid.shares[row])

    def get_many(self, numbers: Numbers, names: Sequence[str], symbol: Numbers) -> Numbers:
        """Return the micro-shares of accounts and symbols, pair by pair.

        symbol: the place of each in names.
        """
        codes = np.array([self._codes.get(name, -1) for name in names])[symbol]
        rows, there = self._rows(numbers, codes)
        found = np.zeros(len(rows), dtype=np.int64)
        found[there] = self._laid.shares[rows[there]]
        if self._apart:
            for n in np.flatnonzero(np.isin(numbers, list(self._apart))).tolist():
                found[n] = self.get(int(numbers[n]), names[symbol[n]])
        return found

    def put_many(self, numbers: Numbers, names: Sequence[str], symbol: Numbers, shares: Numbers) -> None:
        """Set the micro-shares of accounts and symbols, pair by pair, each once."""
        codes = np.array([self._code(name) for name in names])[symbol]
        rows, there = self._rows(numbers, codes)
        self._laid.shares[rows[there]] = shares[there]
        new = np.flatnonzero(~there)
        if len(new) > _MANY_NEW:
            self._insert(numbers[new], codes[new], shares[new])
            return
        for n in new.tolist():
            self.put(int(numbers[n]), names[symbol[n]], int(shares[n]))

    def _insert(self, numbers: Numbers, codes: Numbers, shares: Numbers) -> None:
        """Lay the columns out with these positions, mostly new ones."""
        accounts = int(numbers.max()) + 1
        offsets, symbol, held = self.laid_out(accounts)
        rows, there = rows_in_runs(offsets, symbol, numbers, codes)  # some were apart
        held[rows[there]] = shares[there]
        order = np.lexsort((codes, numbers))
        order = order[~there[order]]
        rows, symbol = rows[order], np.insert(symbol, rows[order], codes[order])
        more = np.bincount(numbers[order] + 1, minlength=len(offsets))
        self._laid = Laid(offsets + np.cumsum(more), symbol, np.insert(held, rows, shares[order]))

    def _rows(self, numbers: Numbers, codes: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """Return the row of each position, and whether the columns have it."""
        laid = numbers + 1 < len(self._laid.offsets)
        if self._apart:
            laid &= ~np.isin(numbers, list(self._apart))
        rows, there = np.zeros(len(numbers), dtype=np.int64), np.zeros(len(numbers), dtype=np.bool_)
        found = rows_in_runs(self._laid.offsets, self._laid.symbol, numbers[laid], codes[laid])
        rows[laid], there[laid] = found
        return rows, there

    def _code(self, symbol: str) -> int:
        code = self._codes.setdefault(symbol, len(self.symbols))
        if code == len(self.symbols):
            self.symbols.append(symbol)
        return code

    def put(self, number: int, symbol: str, shares: int) -> None:
        """Set an account's micro-shares of a symbol."""
        code = self._code(symbol)
        row = self._row(number, code)
        if row is not None:
            self._laid.shares[row] = shares
            return
        if number not in self._apart:
            self._apart[number] = dict(self._run(number))
        self._apart[number][code] = shares
        if len(self._apart) > max(_FEWEST_APART, len(self._laid.offsets) // _SHARE_APART):
            self.laid_out(max(self._apart) + 1)

    def _row(self, number: int, code: int) -> int | None:
        """Return the row of a position; None where the columns do not have it."""
        if number in self._apart or number + 1 >= len(self._laid.offsets):
            return None
        start, end = self._laid.offsets[number : number + 2].tolist()
        row = start + int(np.searchsorted(self._laid.symbol[start:end], code))
        return row if row < end and self._laid.symbol[row] == code else None

    def laid_out(self, accounts: int) -> Laid:
        """Return all positions as columns, of at least that many accounts."""
        missing = max(0, accounts + 1 - len(self._laid.offsets))
        offsets = np.concatenate([self._laid.offsets, np.full(missing, self._laid.offsets[-1])])
        runs = {number: _columns(held) for number, held in self._apart.items()}
        offsets, (symbol, shares) = with_runs(offsets, (self._laid.symbol, self._laid.shares), runs)
        self._laid = Laid(offsets, symbol, shares)
        self._apart.clear()
        return self._laid

    @classmethod
    def of_fills(cls, symbols: Iterable[str], accounts: int, log: FillLog) -> Holdings:
        """Return what accounts hold after the fills of a log, as if there were no corporate actions."""
        names, account, symbol, shares = log.columns()
        found = cls(dict.fromkeys([*symbols, *names]))
        codes = np.array([found._codes[name] for name in names], dtype=np.int32)[symbol]
        found._laid = Laid(*sums_by_pair(account, codes, shares, accounts, len(found.symbols)))
        return found


def _columns(held: Mapping[int, int]) -> tuple[list[int], list[int]]:
    """Return an account's symbol codes and micro-shares, flat positions left out."""
    codes = sorted(code for code, shares in held.items() if shares)
    return codes, [held[code] for code in codes]
