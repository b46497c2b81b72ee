"""Columns as JSON, an object a row, byte for byte what `contracts.messages.encode` makes of such an object.

The names, and their order, are those of the mapping of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from margin_platform.kernel.market import Codes, Floats
from margin_platform.snapshots.giving_out.row_writer import (
    NUMBER_BYTES,
    Cell,
    Cells,
    Runs,
    Steps,
    Texts,
    write_rows,
)

_CENTS = 2
_STRINGS = msgspec.json.Encoder()  # as orjson writes them, which holds four kilobytes for each until it goes


class Decimals(NamedTuple):
    """Numbers of at most so many digits after the point. An array without this is of dollars and cents."""

    values: Floats
    digits: int


class Whole(NamedTuple):
    """Whole numbers; null where `known` says so."""

    values: NDArray[np.int64]
    known: NDArray[np.bool_]


class Flags(NamedTuple):
    """True or false; null where `known` says so."""

    values: NDArray[np.bool_]
    known: NDArray[np.bool_]


class Choice(NamedTuple):
    """One of some texts, by its number; null where `known` says so."""

    numbers: np.ndarray
    names: Sequence[str]
    known: NDArray[np.bool_] | None = None


class Shared(NamedTuple):
    """A value that all rows have."""

    value: object


class Own(NamedTuple):
    """A JSON text of each row."""

    texts: Sequence[bytes]


def quoted(strings: Iterable[str]) -> Own:
    """Return strings as JSON texts."""
    return Own([*map(_STRINGS.encode, strings)])


class Listed(NamedTuple):
    """The names of those instruments of a row that are marked, sorted, each once."""

    marked: NDArray[np.bool_]


class Held(NamedTuple):
    """Which instruments the rows have: first[r]:last[r] of `codes`, and the name of each code."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    codes: Codes
    symbols: tuple[str, ...]


Column = np.ndarray | Decimals | Whole | Flags | Choice | Shared | Own | Listed | Mapping[str, object]
_NONE = np.zeros(0, dtype=np.int64)
NOTHING_HELD = Held(_NONE, _NONE, np.zeros(0, dtype=np.int32), ())


def lines(columns: Mapping[str, Column], rows: int, held: Held = NOTHING_HELD) -> list[bytes]:
    """Return a JSON object a row. held: where a column is `Listed`."""
    plan = _Plan(rows)
    plan.add_object(columns)
    return plan.written(held).split(b"\n")[:-1]


class _Plan:
    """The steps of a row and the cells, gathered column by column."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._shared, self._texts = [b""], list[bytes]()
        self._steps: list[tuple[int, int, int, int, int]] = []
        self._values: list[Floats] = []
        self._choices: list[bytes] = []
        self._marked: list[NDArray[np.bool_]] = []

    def add_object(self, columns: Mapping[str, object]) -> None:
        between = b"{"
        for name, column in columns.items():
            self._shared[-1] += between + orjson.dumps(name) + b":"
            between = b","
            self._add(column)
        self._shared[-1] += b"}" if columns else b"{}"

    def _add(self, column: object) -> None:
        if isinstance(column, Mapping):
            self.add_object(column)
        elif isinstance(column, Shared):
            self._shared[-1] += orjson.dumps(column.value, option=orjson.OPT_NON_STR_KEYS)
        elif isinstance(column, Own):
            self._step(Cell.TEXT, len(self._texts) // max(1, self._rows))
            self._texts += column.texts
        elif isinstance(column, Listed):
            self._step(Cell.SYMBOLS, len(self._marked))
            self._marked.append(column.marked)
        elif isinstance(column, Choice):
            known = np.True_ if column.known is None else column.known
            self._add_values(Cell.CHOICE, np.where(known, column.numbers, np.nan), len(self._choices))
            self._choices += map(orjson.dumps, column.names)
        elif isinstance(column, Whole):
            self._add_values(Cell.WHOLE, np.where(column.known, column.values, np.nan))
        elif isinstance(column, Flags):
            known = column.known.reshape(-1, *([1] * (column.values.ndim - 1)))
            self._add_values(Cell.FLAG, np.where(known, column.values, np.nan))
        elif isinstance(column, Decimals):
            self._add_values(Cell.NUMBER, column.values, column.digits)
        elif isinstance(column, np.ndarray):
            kind = Cell.FLAG if column.dtype == np.bool_ else Cell.NUMBER
            self._add_values(kind, column, _CENTS)

    def _add_values(self, kind: Cell, values: np.ndarray, of: int = 0) -> None:
        lists = values.ndim > 1
        if lists and not values.shape[1]:
            self._shared[-1] += b"[]"
            return
        self._step(kind, len(self._values), values.shape[1] if lists else 0, of)
        self._values += list(values.T) if lists else [values]

    def _step(self, kind: Cell, at: int, width: int = 0, of: int = 0) -> None:
        self._steps.append((len(self._shared) - 1, kind, at, width, of))
        self._shared.append(b"")

    def written(self, held: Held) -> bytes:
        """Return the rows, each ended by a line feed."""
        self._step(Cell.NOTHING, 0)
        values = np.empty((len(self._values), self._rows))
        for column, given in zip(values, self._values, strict=True):
            column[:] = given
        own, names = _joined(self._texts), _names(held.symbols)
        marked = np.array(self._marked) if self._marked else np.zeros((0, 0), dtype=np.bool_)
        runs = Runs(held.first, held.last, held.codes, marked, names.rank)
        steps = Steps(*np.array(self._steps, dtype=np.int64).T.copy())
        room = np.empty(int((held.last - held.first).max(initial=0)), dtype=np.int64)
        out = np.empty(self._most_bytes(own, held, names), dtype=np.uint8)
        shared, choices = _joined(self._shared), _joined(self._choices)
        odd, texts = np.zeros(0, dtype=np.int64), _joined([])
        missing = np.empty(values.size, dtype=np.int64)
        while True:
            cells = Cells(values, odd, missing, np.zeros(2, dtype=np.int64))
            write_rows(
                0,
                self._rows,
                tuple(steps),
                tuple(shared),
                tuple(cells),
                tuple(own),
                tuple(texts),
                tuple(choices),
                tuple(runs),
                tuple(names.texts),
                room,
                out,
            )
            size, lacking = cells.counts.tolist()
            if not lacking:
                return out[:size].tobytes()
            odd = np.sort(missing[:lacking])
            texts = _joined([orjson.dumps(value) for value in values.ravel()[odd].tolist()])

    def _most_bytes(self, own: Texts, held: Held, names: _Names) -> int:
        """Return the bytes that the rows take at most."""
        widest = NUMBER_BYTES + max(map(len, self._choices), default=0)
        row = 1 + sum(map(len, self._shared)) + widest * len(self._values) + 2 * len(self._steps)
        listed = len(self._marked) * (1 + names.longest) * int((held.last - held.first).sum())
        return row * self._rows + len(own.bytes) + listed


class _Names(NamedTuple):
    """Names as JSON, each once, in their order; rank: of each symbol, the number of its name."""

    texts: Texts
    rank: Codes
    longest: int


@lru_cache(maxsize=4)
def _names(symbols: tuple[str, ...]) -> _Names:
    names = sorted(set(symbols))
    number = {name: n for n, name in enumerate(names)}
    texts = quoted(names).texts
    rank = np.array([number[symbol] for symbol in symbols], dtype=np.int32)
    return _Names(_joined(texts), rank, max(map(len, texts), default=0))


def _joined(texts: Sequence[bytes]) -> Texts:
    starts = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)), out=starts[1:])
    return Texts(np.array(bytearray().join(texts), dtype=np.uint8), starts)
