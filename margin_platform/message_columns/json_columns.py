"""Many flat JSON objects as columns. Compiled.

A quick yes. Each object is read whose fields are all declared, each of its own type and there once, and whose
texts are printable ASCII without an escape. Of any other nothing is said.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]

END = b"\0"  # behind each object: no value goes on beyond it
_WRONG = -1  # instead of a place
_MOST_DIGITS = 18  # of a number that 64 bits hold
# whole numbers up to here, and such powers of ten, are float64s of their own: their quotient is rounded once
_EXACT = 1 << 53
_TENS = np.array([float(f"1e{n}") for n in range(_MOST_DIGITS)])
_OPEN, _CLOSE, _QUOTE, _COLON, _COMMA, _MINUS, _POINT, _ZERO, _NINE = (int(c) for c in b'{}":,-.09')
_PLUS, _EXPONENT, _CAPITAL_EXPONENT = (int(c) for c in b"+eE")
_BLANK, _TAB, _LINE, _RETURN = (int(c) for c in b" \t\n\r")
_IN_A_TEXT = np.array([chr(n).isascii() and chr(n).isprintable() and chr(n) not in '"\\' for n in range(256)])
_IN_AN_ID = _IN_A_TEXT & (np.arange(256) != _BLANK)
_NULL, _TRUE, _FALSE = (np.frombuffer(bytearray(word), np.uint8) for word in (b"null", b"true", b"false"))


class Type(IntEnum):
    """What a field holds."""

    ID = 0  # a text without blanks
    TEXT = 1
    NUMBER = 2
    WHOLE = 3  # from 0 up
    FLAG = 4


class Given(IntEnum):
    """What an object says of a field."""

    NOTHING = 0
    NULL = 1
    VALUE = 2
    LONG_NUMBER = 3  # or one with an exponent: it is still to be read from its text


class Declared(NamedTuple):
    """The fields of an object. The name of field f is names[ends[f - 1]:ends[f]]."""

    names: Bytes
    ends: Numbers
    types: Numbers
    required: Mask
    nullable: Mask


class Found(NamedTuple):
    """What objects hold, (fields, objects).

    given: `Given`; first, last: where a text stands, or a long number; first is also a whole number or a
    flag; numbers: NaN where there is none; plain: whether the object was read, (objects,).
    """

    given: NDArray[np.int8]
    first: Numbers
    last: Numbers
    numbers: NDArray[np.float64]
    plain: Mask


@inlined
def _past_blanks(raw: Bytes, at: int) -> int:
    while raw[at] == _BLANK or raw[at] == _TAB or raw[at] == _LINE or raw[at] == _RETURN:
        at += 1
    return at


@inlined
def _past_word(word: Bytes, raw: Bytes, at: int) -> int:
    for k in range(len(word)):
        if raw[at + k] != word[k]:
            return _WRONG
    return at + len(word)


@inlined
def _past_digits(raw: Bytes, at: int) -> int:
    while _ZERO <= raw[at] <= _NINE:
        at += 1
    return at


@inlined
def _end_of_text(allowed: Mask, raw: Bytes, at: int) -> int:
    """Return where a text of allowed bytes ends that begins here, at its quotation mark."""
    while allowed[raw[at]]:
        at += 1
    return at if raw[at] == _QUOTE else _WRONG


@inlined
def _field(declared: Declared, raw: Bytes, first: int, last: int) -> int:
    """Return the number of the field of a name, _WRONG where none is declared."""
    begin, size = 0, last - first
    for field in range(len(declared.ends)):
        same = 0
        while (
            same < size
            and begin + same < declared.ends[field]
            and declared.names[begin + same] == raw[first + same]
        ):
            same += 1
        if same == size and begin + size == declared.ends[field]:
            return field
        begin = declared.ends[field]
    return _WRONG


@inlined
def _text(allowed: Mask, raw: Bytes, at: int, field: int, row: int, found: Found) -> int:
    end = _end_of_text(allowed, raw, at + 1) if raw[at] == _QUOTE else _WRONG
    if end == _WRONG:
        return _WRONG
    found.first[field, row], found.last[field, row] = at + 1, end
    return end + 1


@inlined
def _past_exponent(raw: Bytes, at: int) -> int:
    if raw[at] != _EXPONENT and raw[at] != _CAPITAL_EXPONENT:
        return at
    at += 1
    first = at + (raw[at] == _PLUS or raw[at] == _MINUS)
    at = _past_digits(raw, first)
    return at if at > first else _WRONG


@inlined
def _number(raw: Bytes, at: int, field: int, row: int, found: Found) -> int:
    first, whole = at, at + (raw[at] == _MINUS)
    at = _past_digits(raw, whole)
    if at == whole or (raw[whole] == _ZERO and at > whole + 1):
        return _WRONG
    behind = 0
    if raw[at] == _POINT:
        point, at = at, _past_digits(raw, at + 1)
        behind = at - point - 1
        if behind == 0:
            return _WRONG
    end = _past_exponent(raw, at)
    found.first[field, row], found.last[field, row] = first, end
    found.given[field, row] = Given.LONG_NUMBER.value
    if end != at or at - whole > _MOST_DIGITS:
        return end
    value = 0
    for k in range(whole, at):
        if raw[k] != _POINT:
            value = value * 10 + (raw[k] - _ZERO)
    if value <= _EXACT:
        size = value / _TENS[behind]
        found.numbers[field, row] = -size if raw[first] == _MINUS else size
        found.given[field, row] = Given.VALUE.value
    return at


@inlined
def _whole(raw: Bytes, at: int, field: int, row: int, found: Found) -> int:
    first, at = at, _past_digits(raw, at)
    if at == first or (raw[first] == _ZERO and at > first + 1) or at - first > _MOST_DIGITS:
        return _WRONG
    value = 0
    for k in range(first, at):
        value = value * 10 + (raw[k] - _ZERO)
    found.first[field, row] = value
    return at


@inlined
def _flag(raw: Bytes, at: int, field: int, row: int, found: Found) -> int:
    found.first[field, row] = raw[at] == _TRUE[0]
    return _past_word(_TRUE if raw[at] == _TRUE[0] else _FALSE, raw, at)


@inlined
def _value(declared: Declared, raw: Bytes, at: int, field: int, row: int, found: Found) -> int:
    """Read the value of a field; return where it ends."""
    if raw[at] == _NULL[0]:
        found.given[field, row] = Given.NULL.value
        return _past_word(_NULL, raw, at) if declared.nullable[field] else _WRONG
    found.given[field, row] = Given.VALUE.value
    kind = declared.types[field]
    if kind <= Type.TEXT.value:
        return _text(_IN_AN_ID if kind == Type.ID.value else _IN_A_TEXT, raw, at, field, row, found)
    if kind == Type.NUMBER.value:
        return _number(raw, at, field, row, found)
    if kind == Type.WHOLE.value:
        return _whole(raw, at, field, row, found)
    return _flag(raw, at, field, row, found)


@inlined
def _member(declared: Declared, raw: Bytes, at: int, row: int, found: Found) -> int:
    """Read a name and its value; return where they end."""
    if raw[at] != _QUOTE:
        return _WRONG
    end = _end_of_text(_IN_A_TEXT, raw, at + 1)
    field = _field(declared, raw, at + 1, end) if end != _WRONG else _WRONG
    if field == _WRONG or found.given[field, row] != Given.NOTHING.value:
        return _WRONG
    at = _past_blanks(raw, end + 1)
    if raw[at] != _COLON:
        return _WRONG
    at = _value(declared, raw, _past_blanks(raw, at + 1), field, row, found)
    return at if at == _WRONG else _past_blanks(raw, at)


@inlined
def _object(declared: Declared, raw: Bytes, at: int, end: int, row: int, found: Found) -> bool:
    """Read an object up to an end; report whether it is one, with every field that is required."""
    at = _past_blanks(raw, at)
    if raw[at] != _OPEN:
        return False
    while True:
        at = _member(declared, raw, _past_blanks(raw, at + 1), row, found)
        if at == _WRONG:
            return False
        if raw[at] != _COMMA:
            break
    if raw[at] != _CLOSE or _past_blanks(raw, at + 1) != end:
        return False
    for field in range(len(declared.required)):
        if declared.required[field] and found.given[field, row] < Given.VALUE.value:
            return False
    return True


def _entry(
    declared: tuple[np.ndarray, ...], raw: Bytes, ends: Numbers, found: tuple[np.ndarray, ...]
) -> None:
    at, fields, columns = 0, Declared(*declared), Found(*found)
    for row in range(len(ends)):
        columns.plain[row] = _object(fields, raw, at, ends[row], row, columns)
        at = ends[row] + 1


_read = kept_on_disk(_entry)


def read(declared: Declared, raw: Bytes, ends: Numbers) -> Found:
    """Read objects one behind the other, each up to an end, where END stands."""
    shape = len(declared.ends), len(ends)
    found = Found(
        given=np.zeros(shape, dtype=np.int8),
        first=np.zeros(shape, dtype=np.int64),
        last=np.zeros(shape, dtype=np.int64),
        numbers=np.full(shape, np.nan),
        plain=np.zeros(len(ends), dtype=np.bool_),
    )
    _read(tuple(declared), raw, ends, tuple(found))
    return found
