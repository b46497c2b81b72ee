"""Plain reading: many messages of a topic at once, where nothing about them needs a second look.

A quick yes. What it does not accept says nothing: `messages.decode` reads such a message field by field,
and it alone refuses. So this may doubt what is sound, and never accepts what `decode` refuses.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import orjson
from msgspec import Struct
from numpy.typing import NDArray

from margin_platform.contracts.bounds import LONGEST_ID
from margin_platform.contracts.events.declarations import Event, Field, fields_of
from margin_platform.contracts.identity import refusal_of_id
from margin_platform.contracts.topics import TOPICS
from margin_platform.ledger.columns.texts import NOTHING, Texts
from margin_platform.message_columns.json_columns import END, Declared, Found, Given, Type, read

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_LARGEST = (1 << 63) - 1
_VALUE, _LONG_NUMBER = int(Given.VALUE), int(Given.LONG_NUMBER)  # a column is compared with these faster


@functools.cache
def of_topic(topic: str) -> PlainReading:
    """Return the plain reading of a topic's messages."""
    return PlainReading(TOPICS[topic].event)


@dataclass(frozen=True)
class Columns:
    """The fields of messages by name, of one length."""

    places: Mapping[str, int]
    raw: NDArray[np.uint8]
    found: Found

    def texts(self, name: str) -> Texts:
        """Return a field of texts."""
        field, found = self.places[name], self.found
        there = found.given[field] == _VALUE
        return Texts(self.raw, np.where(there, found.first[field], NOTHING), found.last[field])

    def numbers(self, name: str) -> Floats:
        """Return a field of numbers, NaN where it is not given."""
        return np.asarray(self.found.numbers[self.places[name]])

    def whole(self, name: str) -> Numbers:
        """Return a field of whole numbers, or of flags, 0 where it is not given."""
        field = self.places[name]
        return np.where(self.found.given[field] == _VALUE, self.found.first[field], 0)

    def has(self, name: str) -> Mask:
        """Report where a field is given, and not null."""
        return np.asarray(self.found.given[self.places[name]] == _VALUE)

    def take(self, rows: Numbers) -> Columns:
        """Return some of the messages."""
        return replace(self, found=Found._make(np.take(column, rows, axis=-1) for column in self.found))

    def with_events(self, events: Mapping[int, Event]) -> Columns:
        """Return the columns with checked events in the place of some messages, by number."""
        found, raw = self.found, bytearray(self.raw.tobytes())
        for row, event in events.items():
            found.given[:, row], found.numbers[:, row] = Given.NOTHING, np.nan
            for name, value in event.items():
                cell = self.places[name], row
                found.given[cell] = Given.NULL if value is None else Given.VALUE
                if isinstance(value, str):
                    found.first[cell] = len(raw)
                    raw += value.encode()
                    found.last[cell] = len(raw)
                elif value is not None:
                    found.numbers[cell], found.first[cell] = value, min(value, _LARGEST)
        return replace(self, raw=np.frombuffer(raw, dtype=np.uint8))


class PlainReading:
    """Of one declaration, whose fields hold names, labels, numbers and flags."""

    def __init__(self, declared: type[Struct]) -> None:
        """Read the declaration strictly: no field beside those declared."""
        self._fields = fields_of(declared)
        self._types = [_type_of(field) for field in self._fields]
        self._places = {field.name: n for n, field in enumerate(self._fields)}
        names = Texts.of([*self._places])
        self._declared = Declared(
            names.raw,
            names.last,
            np.array(self._types, dtype=np.int64),
            np.array([field.required for field in self._fields]),
            np.array([field.nullable for field in self._fields]),
        )

    def read(self, values: Sequence[bytes | None]) -> tuple[Columns, Numbers]:
        """Return the columns of messages, and the numbers of those that are not plain, ascending: of these
        the columns say nothing.
        """
        given = [value or b"" for value in values]
        raw = np.frombuffer(bytearray(END).join([*given, b""]), dtype=np.uint8)
        ends = np.cumsum(np.fromiter(map(len, given), np.int64, len(given)) + len(END)) - len(END)
        found = read(self._declared, raw, ends)
        long = np.nonzero(found.plain & (found.given == _LONG_NUMBER))
        found.numbers[long] = _floats(Texts(raw, found.first[long], found.last[long]).encoded())
        found.given[long] = _VALUE
        plain, there = found.plain.copy(), found.plain & (found.given == _VALUE)
        for n in np.flatnonzero(there.any(axis=1)).tolist():
            rows = np.flatnonzero(there[n])
            plain[rows] &= self._are_sound(n, rows, found)
        return Columns(self._places, raw, found), np.flatnonzero(~plain)

    def _are_sound(self, n: int, rows: Numbers, found: Found) -> Mask | bool:
        """Report by row whether nothing speaks against its value of field n beside its type."""
        kind, schema = self._fields[n].kind, self._fields[n].kind.schema
        if self._types[n] == Type.ID:
            size = found.last[n, rows] - found.first[n, rows]
            return np.asarray((size > 0) & (size <= LONGEST_ID))
        if self._types[n] not in (Type.NUMBER, Type.WHOLE):
            return True
        column = found.numbers[n, rows] if self._types[n] == Type.NUMBER else found.first[n, rows]
        sound = (column >= schema.get("minimum", -np.inf)) & (column <= schema.get("maximum", np.inf))
        sound &= column < schema.get("exclusiveMaximum", np.inf)
        if kind.beyond and not (kind.all_sound and kind.all_sound(column)):
            sound &= [kind.beyond(value) is None for value in column.tolist()]
        return np.asarray(sound)


def _floats(texts: list[bytes]) -> list[float]:
    """Return the float64s nearest to some JSON numbers."""
    try:
        return cast(list[float], orjson.loads(b"[%b]" % b",".join(texts)))
    except orjson.JSONDecodeError:  # one is beyond a float64
        return [*map(float, texts)]


def _type_of(field: Field) -> Type:
    kind, declared = field.kind, field.kind.schema.get("type")
    if kind.beyond is refusal_of_id:
        return Type.ID
    if declared == "string" and kind.beyond is None:
        return Type.TEXT
    return {"number": Type.NUMBER, "integer": Type.WHOLE, "boolean": Type.FLAG}[str(declared)]
