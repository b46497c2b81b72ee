"""The kernel's book as columns: accounts and their positions.

Positions are sorted by account, and within an account by instrument code: every margin group is one run of
neighbors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Codes, Floats
from margin_platform.kernel.sweep.changed_positions import with_positions
from margin_platform.kernel.sweep.holders import holders

REG_T = 0
PORTFOLIO = 1
MARGIN_TYPES = {"REG_T": REG_T, "PORTFOLIO": PORTFOLIO}
_MANY = 0.05  # share of the instruments above which looking at every position beats the index
_PAYS_AFTER = 3  # questions to one book after which its index is made


@dataclass(frozen=True)
class Book:
    """Accounts and positions as columns.

    account_ids: (accounts,); cash: dollars, signed (negative = debit), (accounts,); margin_type: REG_T or
    PORTFOLIO, (accounts,); offsets: (accounts + 1,), account a's positions are offsets[a]:offsets[a + 1];
    symbol: instrument codes, (positions,), ascending within an account; quantity: signed shares,
    (positions,).
    """

    account_ids: Sequence[str]
    cash: Floats
    margin_type: NDArray[np.int8]
    offsets: NDArray[np.int64]
    symbol: Codes
    quantity: Floats
    _holders: list[tuple[NDArray[np.int64], Codes]] = field(default_factory=list, repr=False, compare=False)
    _asked: list[int] = field(default_factory=list, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.cash)

    @staticmethod
    def of(accounts: Sequence[tuple[str, float, int, Sequence[tuple[int, float]]]]) -> Book:
        """Build a book from (account_id, cash, margin type, [(instrument code, signed shares), ...]) rows.

        Rows of one instrument are merged per side: a long and a short of one instrument stay two rows (a
        box).
        """
        merged = [_merge_sides(rows) for _, _, _, rows in accounts]
        counts = np.array([len(rows) for rows in merged], dtype=np.int64)
        flat = [row for rows in merged for row in rows]
        return Book(
            account_ids=tuple(a[0] for a in accounts),
            cash=np.array([a[1] for a in accounts], dtype=np.float64),
            margin_type=np.array([a[2] for a in accounts], dtype=np.int8),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            symbol=np.array([code for code, _ in flat], dtype=np.int32),
            quantity=np.array([qty for _, qty in flat], dtype=np.float64),
        )

    def extended(self, account_ids: Sequence[str], cash: Sequence[float], margin_type: Sequence[int]) -> Book:
        """Return the book with accounts without positions behind its own.

        account_ids: all of them, the book's first.
        """
        grown = np.concatenate([self.offsets, np.full(len(cash), self.offsets[-1])])
        return Book(
            account_ids,
            np.concatenate([self.cash, np.array(cash, dtype=np.float64)]),
            np.concatenate([self.margin_type, np.array(margin_type, dtype=np.int8)]),
            grown,
            self.symbol,
            self.quantity,
        )

    def reshaped(self, changed: Mapping[int, Mapping[int, float]]) -> Book:
        """Return the book with the positions of some accounts, {number: {instrument code: signed shares}},
        replaced.

        The others' runs are copied as they are: no Python for them, as fast as memory is.
        """
        runs = {}
        for number, rows in changed.items():
            codes = sorted(rows)
            runs[number] = codes, [rows[c] for c in codes]
        offsets, (symbol, quantity) = with_runs(self.offsets, (self.symbol, self.quantity), runs)
        return Book(self.account_ids, self.cash, self.margin_type, offsets, symbol, quantity)

    def with_positions(self, accounts: NDArray[np.int64], codes: NDArray[np.int64], shares: Floats) -> Book:
        """Return the book where accounts, by number, hold so many signed shares of instruments, 0: none.

        In the order of accounts and codes, each pair once; no instrument of theirs may be a box.
        """
        moved = with_positions(self.offsets, self.symbol, self.quantity, accounts, codes, shares)
        return Book(self.account_ids, self.cash, self.margin_type, *moved)

    def accounts_holding(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the sorted numbers of the accounts that hold any of these instruments: the ones a price
        change touches.

        The first questions, and those about a large part of the instruments, are answered by looking at
        every position; an index pays for itself only where few instruments are asked for repeatedly.
        """
        size = int(self.symbol.max()) + 1 if len(self.symbol) and len(codes) else 0
        codes = codes[codes < size]
        if not len(codes):
            return np.zeros(0, dtype=np.int64)
        self._asked.append(len(codes))
        if len(codes) > _MANY * size or (not self._holders and len(self._asked) <= _PAYS_AFTER):
            return self._scanned(codes, size)
        starts, holders = self._inverted()
        touched = [holders[starts[c] : starts[c + 1]] for c in codes]
        return np.unique(np.concatenate(touched)).astype(np.int64)

    def held(self) -> NDArray[np.int64]:
        """Return the sorted codes of the instruments that some account holds."""
        return np.flatnonzero(np.bincount(self.symbol)).astype(np.int64)

    def _scanned(self, codes: NDArray[np.integer[Any]], size: int) -> NDArray[np.int64]:
        wanted = np.zeros(size, dtype=np.bool_)
        wanted[codes] = True
        return holders(self.offsets, self.symbol, wanted)

    def _inverted(self) -> tuple[NDArray[np.int64], Codes]:
        if not self._holders:  # 4 bytes a position
            accounts = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.offsets))
            order = np.argsort(self.symbol, kind="stable")
            starts = np.concatenate([[0], np.cumsum(np.bincount(self.symbol))]).astype(np.int64)
            self._holders.append((starts, accounts[order]))
        return self._holders[0]


def with_runs(
    offsets: NDArray[np.int64], columns: Sequence[np.ndarray], runs: Mapping[int, Sequence[Sequence[float]]]
) -> tuple[NDArray[np.int64], list[np.ndarray]]:
    """Return columns with the rows of some accounts replaced, and the new offsets.

    runs: by account number, its rows, column by column.
    """
    counts, end = np.diff(offsets), 0
    pieces: list[list[np.ndarray]] = [[] for _ in columns]
    for number in sorted(runs):
        counts[number] = len(runs[number][0])
        for column, rows, found in zip(columns, runs[number], pieces, strict=True):
            found += [column[end : offsets[number]], np.array(rows, dtype=column.dtype)]
        end = offsets[number + 1]
    joined = [np.concatenate([*found, column[end:]]) for column, found in zip(columns, pieces, strict=True)]
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), joined


def _merge_sides(rows: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    sides: dict[tuple[int, bool], float] = {}
    for code, qty in rows:
        if qty != 0.0:
            sides[(code, qty < 0)] = sides.get((code, qty < 0), 0.0) + qty
    return [(code, qty) for (code, _), qty in sorted(sides.items())]
