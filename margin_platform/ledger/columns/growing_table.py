"""Columns of one length that only grow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

_LEAST = 64  # rows of room beside an eighth of what is there


class GrowingTable:
    """Rows by column name. No row changes, so a view of a column stays as it is whatever is appended."""

    def __init__(self, **kinds: object) -> None:
        """Start without rows. kinds: the type of each column, in the order in which `append` takes them."""
        self._columns: dict[str, np.ndarray] = {
            name: np.empty(0, dtype=kind)  # type: ignore[call-overload]
            for name, kind in kinds.items()
        }
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name][: self._rows]

    def append(self, *row: object) -> None:
        """Append one row; raise OverflowError, with nothing changed, where a figure does not fit its
        column.
        """
        self._make_room(1)
        for column, value in zip(self._columns.values(), row, strict=True):
            column[self._rows] = value
        self._rows += 1

    def extend(self, *columns: ArrayLike) -> None:
        """Append rows, given column by column."""
        more = len(np.asarray(columns[0]))
        self._make_room(more)
        for column, values in zip(self._columns.values(), columns, strict=True):
            column[self._rows : self._rows + more] = values
        self._rows += more

    def _make_room(self, more: int) -> None:
        for name, column in self._columns.items():
            if self._rows + more > len(column):
                room = max(self._rows + more, len(column) + len(column) // 8 + _LEAST)
                grown = np.empty((room, *column.shape[1:]), dtype=column.dtype)
                grown[: self._rows] = column[: self._rows]
                self._columns[name] = grown

    def replace(self, columns: Mapping[str, ArrayLike]) -> None:
        """Put other rows in the place of these.

        Aligned, writable columns of the table's types are kept without a copy. No row changes here, and none
        may change in what was given.
        """
        self._columns = {
            name: np.require(columns[name], column.dtype, ["C", "A", "W"]).reshape(-1, *column.shape[1:])
            for name, column in self._columns.items()
        }
        self._rows = min(map(len, self._columns.values()))
