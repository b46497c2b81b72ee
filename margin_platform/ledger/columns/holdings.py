"""What accounts hold, as columns: an account's positions are one run of neighbors, by symbol.

A position that is new has no place in its run. It is kept apart, until the columns are laid out again with
all of those.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.ledger.columns.pairs import sums_by_pair
from margin_platform.ledger.columns.runs import rows_in_runs
from margin_platform.ledger.fill_log import FillLog

_NO_ROW = -1
_FEWEST_APART = 4096
_SHARE_APART = 32  # one account of so many has new positions before the columns are laid out again

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
        self._new: dict[int, dict[int, int]] = {}  # micro-shares by code, of positions that the columns miss

    def of(self, number: int) -> dict[str, int]:
        """Return an account's micro-shares by symbol, flat ones left out."""
        start, end = self._laid.offsets[number : number + 2].tolist() if self._has(number) else (0, 0)
        codes, shares = self._laid.symbol[start:end].tolist(), self._laid.shares[start:end].tolist()
        held = dict(zip(codes, shares, strict=True)) | self._new.get(number, {})
        return {self.symbols[code]: shares for code, shares in held.items() if shares}

    def _has(self, number: int) -> bool:
        """Report whether the columns have an account."""
        return number + 1 < len(self._laid.offsets)

    def get(self, number: int, symbol: str) -> int:
        """Return an account's micro-shares of a symbol."""
        code = self._codes.get(symbol)
        if code is None:
            return 0
        row = self._row(number, code)
        return self._new.get(number, {}).get(code, 0) if row is None else int(self._laid.shares[row])

    def get_many(self, numbers: Numbers, codes: Numbers) -> tuple[Numbers, Numbers]:
        """Return of accounts and symbol codes, pair by pair, the row that `put_many` takes, and the
        micro-shares.
        """
        rows, there = rows_in_runs(self._laid.offsets, self._laid.symbol, numbers, codes)
        rows[~there] = _NO_ROW
        found = np.zeros(len(rows), dtype=np.int64)
        found[there] = self._laid.shares[rows[there]]
        new = np.flatnonzero(~there)
        pairs = zip(numbers[new].tolist(), codes[new].tolist(), strict=True)
        found[new] = [self._new.get(number, {}).get(code, 0) for number, code in pairs]
        return rows, found

    def put_many(self, rows: Numbers, numbers: Numbers, codes: Numbers, shares: Numbers) -> None:
        """Set the micro-shares of accounts and symbol codes, pair by pair, each once. rows: by `get_many`."""
        there = rows != _NO_ROW
        self._laid.shares[rows[there]] = shares[there]
        new = (column[~there].tolist() for column in (numbers, codes, shares))
        for number, code, held in zip(*new, strict=True):
            self._new.setdefault(number, {})[code] = held
        self._lay_out_many()

    def put(self, number: int, symbol: str, shares: int) -> None:
        """Set an account's micro-shares of a symbol."""
        code = self._codes.setdefault(symbol, len(self.symbols))
        if code == len(self.symbols):
            self.symbols.append(symbol)
        row = self._row(number, code)
        if row is not None:
            self._laid.shares[row] = shares
            return
        self._new.setdefault(number, {})[code] = shares
        self._lay_out_many()

    def _row(self, number: int, code: int) -> int | None:
        """Return the row of a position; None where the columns do not have it."""
        if not self._has(number):
            return None
        start, end = self._laid.offsets[number : number + 2].tolist()
        row = start + int(np.searchsorted(self._laid.symbol[start:end], code))
        return row if row < end and self._laid.symbol[row] == code else None

    def _lay_out_many(self) -> None:
        if len(self._new) > max(_FEWEST_APART, len(self._laid.offsets) // _SHARE_APART):
            self.laid_out(max(self._new) + 1)

    def laid_out(self, accounts: int) -> Laid:
        """Return all positions as columns, of at least that many accounts."""
        offsets, symbol, shares = self._laid
        missing = max(0, accounts + 1 - len(offsets))
        offsets = np.concatenate([offsets, np.full(missing, offsets[-1])])
        new = sorted(
            (number, code, held)
            for number, positions in self._new.items()
            for code, held in positions.items()
            if held
        )
        if new:
            numbers, codes, more = np.array(new, dtype=np.int64).T.copy()
            rows, _ = rows_in_runs(offsets, symbol, numbers, codes)
            offsets = offsets + np.cumsum(np.bincount(numbers + 1, minlength=len(offsets)))
            symbol, shares = np.insert(symbol, rows, codes), np.insert(shares, rows, more)
        self._laid = Laid(offsets, symbol, shares)
        self._new.clear()
        return self._laid

    @classmethod
    def of_fills(cls, symbols: Sequence[str], accounts: int, log: FillLog) -> Holdings:
        """Return what accounts hold after the fills of a log, as if there were no corporate actions."""
        names, account, symbol, shares = log.columns()
        known = dict.fromkeys(symbols)
        found = cls([*symbols, *(name for name in names if name not in known)])
        codes = np.array([found._codes[name] for name in names], dtype=np.int32)[symbol]
        found._laid = Laid(*sums_by_pair(account, codes, shares, accounts, len(found.symbols)))
        return found
