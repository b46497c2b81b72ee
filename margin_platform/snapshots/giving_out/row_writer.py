"""The compiled writer: rows of columns become JSON objects, a line each.

What a row looks like is a list of steps. Each writes a text that all rows share, and then a cell of the row.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Codes, Floats
from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk, kernel

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Plain = tuple[np.ndarray, ...]  # columns without their names: Numba recognizes those faster
NUMBER_BYTES = 26  # of a cell at most, with the comma of a list
_LARGEST = 1e15  # a decimal number of fewer digits is the shortest text of its float64
_SMALL = 1e-5  # below it a float64 is written with an exponent
_NULL = np.frombuffer(b"null", dtype=np.uint8)
_TRUE = np.frombuffer(b"true", dtype=np.uint8)
_FALSE = np.frombuffer(b"false", dtype=np.uint8)
_ZERO, _MINUS, _POINT, _COMMA, _OPEN, _CLOSE, _LINE = (int(c) for c in b"0-.,[]\n")


class Cell(IntEnum):
    """What a step writes after its text."""

    NOTHING = 0
    NUMBER = 1  # with decimals
    WHOLE = 2
    FLAG = 3
    CHOICE = 4
    TEXT = 5
    SYMBOLS = 6


class Texts(NamedTuple):
    """Texts one behind the other; text n is bytes[starts[n]:starts[n + 1]]."""

    bytes: Bytes
    starts: Numbers


class Steps(NamedTuple):
    """The steps of a row, (steps,). text: the number of the text that all rows share.

    at: the first column of `values`, or of texts; width: how many columns make a list, 0 for a single cell;
    of: the digits after the point, or the first of the choices.
    """

    text: Numbers
    kind: Numbers
    at: Numbers
    width: Numbers
    of: Numbers


class Runs(NamedTuple):
    """The positions of each row, first[r]:last[r] of `codes`; marked: (lists, instruments), which are listed;
    rank: of an instrument, its name among all; names: by rank.
    """

    first: Numbers
    last: Numbers
    codes: Codes
    marked: NDArray[np.bool_]
    rank: Codes


class Cells(NamedTuple):
    """The cells, (columns, rows), NaN is null.

    odd: column x rows + row of each number whose text is given in `texts`, ascending: one that is not a
    decimal number of as many digits as its column has. missing: room for those whose text is not given.
    counts: bytes written, texts missing.
    """

    values: Floats
    odd: Numbers
    missing: Numbers
    counts: Numbers


@kernel
def _copy(texts: Texts, n: int, out: Bytes, at: int) -> int:
    for k in range(texts.starts[n], texts.starts[n + 1]):
        out[at] = texts.bytes[k]
        at += 1
    return at


@kernel
def _word(word: Bytes, out: Bytes, at: int) -> int:
    for k in range(len(word)):
        out[at + k] = word[k]
    return at + len(word)


@kernel
def _whole(number: int, least: int, out: Bytes, at: int) -> int:
    """Write a number that is not negative, with zeros in front up to so many digits."""
    size, rest = 1, number
    while rest >= 10:
        rest //= 10
        size += 1
    size = max(size, least)
    for k in range(size - 1, -1, -1):
        out[at + k] = _ZERO + number % 10
        number //= 10
    return at + size


@kernel
def _decimal(scaled: int, unit: int, digits: int, out: Bytes, at: int) -> int:
    """Write scaled / unit as short as it is, with at least one digit after the point."""
    at = _whole(scaled // unit, 1, out, at)
    out[at] = _POINT
    part = scaled % unit
    while digits > 1 and part % 10 == 0:
        part //= 10
        digits -= 1
    return _whole(part, digits, out, at + 1)


@kernel
def _place(odd: Numbers, cell: int) -> int:
    low, high = 0, len(odd)
    while low < high:
        middle = (low + high) // 2
        if odd[middle] < cell:
            low = middle + 1
        else:
            high = middle
    return low


# From here on functions are inlined: they take whole tuples of columns, and to hand those on costs more than
# the work does.


@inlined
def _number(value: float, digits: int, cell: int, cells: Cells, odd: Texts, out: Bytes, at: int) -> int:
    unit, size = 1, abs(value)
    for _ in range(digits):
        unit *= 10
    scaled = math.floor(size * unit + 0.5)
    if scaled < _LARGEST and scaled / unit == size and (size >= _SMALL or size == 0.0):
        if math.copysign(1.0, value) < 0.0:
            out[at] = _MINUS
            at += 1
        return _decimal(int(scaled), unit, digits, out, at)
    place = _place(cells.odd, cell)
    if place < len(cells.odd) and cells.odd[place] == cell:
        return _copy(odd, place, out, at)
    cells.missing[cells.counts[1]] = cell
    cells.counts[1] += 1
    return at


@kernel
def _integer(value: float, out: Bytes, at: int) -> int:
    if value < 0.0:
        out[at] = _MINUS
        at += 1
    return _whole(int(abs(value)), 1, out, at)


@inlined
def _value(
    kind: int, of: int, column: int, row: int, cells: Cells, choices: Texts, odd: Texts, out: Bytes, at: int
) -> int:
    value = cells.values[column, row]
    if math.isnan(value):
        return _word(_NULL, out, at)
    if kind == Cell.NUMBER.value:
        return _number(value, of, column * cells.values.shape[1] + row, cells, odd, out, at)
    if kind == Cell.WHOLE.value:
        return _integer(value, out, at)
    if kind == Cell.FLAG.value:
        return _word(_TRUE if value > 0.0 else _FALSE, out, at)
    return _copy(choices, of + int(value), out, at)


@inlined
def _list(
    kind: int,
    of: int,
    first: int,
    width: int,
    row: int,
    cells: Cells,
    choices: Texts,
    odd: Texts,
    out: Bytes,
    at: int,
) -> int:
    """Write a list of values; null where its first is not known."""
    if math.isnan(cells.values[first, row]):
        return _word(_NULL, out, at)
    out[at] = _OPEN
    for column in range(first, first + width):
        at = _value(kind, of, column, row, cells, choices, odd, out, at + 1)
        out[at] = _COMMA
    out[at] = _CLOSE
    return at + 1


@inlined
def _symbols(row: int, which: int, runs: Runs, names: Texts, room: Numbers, out: Bytes, at: int) -> int:
    """Write the names of the marked instruments of a row, sorted, each once."""
    count = 0
    for k in range(runs.first[row], runs.last[row]):
        if runs.marked[which, runs.codes[k]]:
            rank, n = runs.rank[runs.codes[k]], count
            while n > 0 and room[n - 1] > rank:
                room[n] = room[n - 1]
                n -= 1
            room[n] = rank
            count += 1
    out[at] = _OPEN
    at += 1
    for n in range(count):
        if n == 0 or room[n] != room[n - 1]:
            at = _copy(names, room[n], out, at)
            out[at] = _COMMA
            at += 1
    if count > 0:
        at -= 1
    out[at] = _CLOSE
    return at + 1


@inlined
def _row(
    row: int,
    steps: Steps,
    shared: Texts,
    cells: Cells,
    own: Texts,
    odd: Texts,
    choices: Texts,
    runs: Runs,
    names: Texts,
    room: Numbers,
    out: Bytes,
    at: int,
) -> int:
    rows = cells.values.shape[1]
    for n in range(len(steps.kind)):
        at = _copy(shared, steps.text[n], out, at)
        kind, first = steps.kind[n], steps.at[n]
        if kind == Cell.NOTHING.value:
            continue
        if kind == Cell.TEXT.value:
            at = _copy(own, first * rows + row, out, at)
        elif kind == Cell.SYMBOLS.value:
            at = _symbols(row, first, runs, names, room, out, at)
        elif steps.width[n] > 0:
            at = _list(kind, steps.of[n], first, steps.width[n], row, cells, choices, odd, out, at)
        else:
            at = _value(kind, steps.of[n], first, row, cells, choices, odd, out, at)
    return at


def _entry(
    lo: int,
    hi: int,
    steps: Plain,
    shared: Plain,
    cells: Plain,
    own: Plain,
    odd: Plain,
    choices: Plain,
    runs: Plain,
    names: Plain,
    room: Numbers,
    out: Bytes,
) -> None:
    """Write rows lo:hi, a line each."""
    plan = Steps(*steps), Texts(*shared), Cells(*cells), Texts(*own), Texts(*odd)
    behind = Texts(*choices), Runs(*runs), Texts(*names), room, out
    at = 0
    for row in range(lo, hi):
        at = _row(row, *plan, *behind, at)
        out[at] = _LINE
        at += 1
    cells[3][0] = at


write_rows = kept_on_disk(_entry)
