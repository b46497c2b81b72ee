"""Plain reading: many messages of a topic at once, where nothing about them needs a second look.

A quick yes. What it does not accept says nothing: `messages.decode` reads such a message field by field,
and it alone refuses. So this may doubt what is sound, and never accepts what `decode` refuses.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from msgspec import UNSET, Struct, convert, defstruct
from msgspec.json import Decoder

from margin_platform.contracts.events.declarations import Event, Field
from margin_platform.contracts.topics import TOPICS

Message = Struct | None  # of the topic's declaration: a field that it does not have is UNSET
Column = list[Any]
Columns = dict[str, Column]
_QUOTES = 2  # around a name, and around a text
_ESCAPE = b"\\"
_LARGEST = (1 << 63) - 1  # `decode` reads a whole number of more than 64 bits as a fraction, and refuses it


@functools.cache
def of_topic(topic: str) -> PlainReading:
    """Return the plain reading of a topic's messages."""
    return PlainReading(TOPICS[topic].event)


class PlainReading:
    """Of one declaration, whose fields hold texts, numbers and flags."""

    def __init__(self, declared: type[Struct]) -> None:
        """Read the declaration strictly: no field beside those declared."""
        check = next(topic.check for topic in TOPICS.values() if topic.event is declared)
        self._type = defstruct(
            declared.__name__, (), bases=(declared,), forbid_unknown_fields=True, gc=False, kw_only=True
        )
        self._decode = Decoder(self._type).decode
        self._fields = [_Column(field) for field in check.fields]

    def of(self, event: Event) -> Message:
        """Return a checked event as a message."""
        return convert(event, self._type)

    def read(self, values: Sequence[bytes | None]) -> tuple[list[Message], Columns, list[int]]:
        """Return the messages, None for one that is not plain; the columns of the plain ones; and the numbers
        of the others, ascending.
        """
        messages = self._decoded(values)
        rows = [row for row, message in enumerate(messages) if message is not None]
        some = len(rows) < len(messages)
        found = [messages[row] for row in rows] if some else messages
        columns = self.columns(found)
        read = [
            value for value, message in zip(values, messages, strict=True) if value and message is not None
        ]
        doubted = self._doubted(read, columns)
        if doubted:
            plain = [n for n in range(len(found)) if n not in doubted]
            rows, columns = [rows[n] for n in plain], self.columns([found[n] for n in plain])
        doubtful = sorted(set(range(len(messages))) - set(rows)) if some or doubted else []
        for row in doubtful:
            messages[row] = None
        return messages, columns, doubtful

    def columns(self, messages: Sequence[Message]) -> Columns:
        """Return the fields of messages by name."""
        return {field.name: field.of(messages) for field in self._fields}

    def _decoded(self, values: Sequence[bytes | None]) -> list[Message]:
        try:
            return list(map(self._decode, values))  # type: ignore[arg-type]
        except (ValueError, TypeError):  # of any of them: each for itself
            return [_or_none(self._decode, value) for value in values]

    def _doubted(self, values: Sequence[bytes], columns: Columns) -> set[int]:
        """Return the rows that are not plainly sound, of messages that are of the declaration's types."""
        doubted: set[int] = set()
        for field in self._fields:
            doubted |= field.doubted(columns[field.name])
        raw = b"".join(values)
        if raw.isascii() and _ESCAPE not in raw and raw.count(b'"') == self._quotes(columns):
            return doubted  # and no name is there twice
        for row, value in enumerate(values):
            quotes = self._quotes({name: column[row : row + 1] for name, column in columns.items()})
            if not value.isascii() or _ESCAPE in value or value.count(b'"') != quotes:
                doubted.add(row)
        return doubted

    def _quotes(self, columns: Columns) -> int:
        return sum(field.quotes(columns[field.name]) for field in self._fields)


class _Column:
    """One field of many messages."""

    def __init__(self, field: Field) -> None:
        self.name, self._field, self._get = field.name, field, attrgetter(field.name)
        schema = field.kind.schema
        self._is_unbounded = schema.get("type") == "integer" and not {"maximum", "exclusiveMaximum"} & set(
            schema
        )
        self._is_text = bool(field.kind.schema.get("type") == "string" or "enum" in field.kind.schema)

    def of(self, messages: Sequence[Message]) -> Column:
        return list(map(self._get, messages))

    def quotes(self, column: Column) -> int:
        """Count the quotation marks of the field: those around its name, and around a text."""
        given = len(column)
        if self._field.required:
            return _QUOTES * given * (1 + self._is_text)
        given -= column.count(UNSET)
        texts = given - column.count(None) if self._is_text else 0
        return _QUOTES * (given + texts)

    def doubted(self, column: Column) -> set[int]:
        """Return the rows whose value is refused by what no type says; none where a look at all is enough."""
        kind = self._field.kind
        if self._is_unbounded:
            return {row for row, value in enumerate(column) if isinstance(value, int) and value > _LARGEST}
        if kind.beyond is None:
            return set()
        if self._field.required:
            given = column
        else:
            given = [value for value in column if value is not None and value is not UNSET]
        if not given or (kind.all_sound and kind.all_sound(given)):
            return set()
        return {
            row
            for row, value in enumerate(column)
            if value is not None and value is not UNSET and kind.beyond(value)
        }


def _or_none(decode: Callable[[bytes], Message], value: bytes | None) -> Message:
    try:
        return None if value is None else decode(value)
    except (ValueError, TypeError):
        return None
