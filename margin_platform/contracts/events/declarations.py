"""Declarations read back: the fields of an event class, with all that its check, its schema and its page
need.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Meta, Struct, convert
from msgspec.structs import fields

from margin_platform.contracts.events.field_types import Always, Kind, one_of
from margin_platform.contracts.refusals import BadEvent, missing

Event = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """One field of an event.

    always: it is published with every event, whether or not a reader depends on it.
    """

    name: str
    kind: Kind
    required: bool
    always: bool
    nullable: bool
    note: str


def _parts(hint: Any) -> Iterator[Any]:
    """Yield the types and annotations a type hint is made of."""
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
        hint = hint.__origin__
    if get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _parts(member)
    else:
        yield hint


def _names(parts: list[object]) -> tuple[str, ...]:
    """Return the texts a field may hold, of its enumeration or its literals."""
    for part in parts:
        if isinstance(part, type) and issubclass(part, StrEnum):
            return tuple(member.value for member in part)
    return get_args(next(part for part in parts if get_origin(part) is Literal))


def _field(name: str, hint: Any, required: bool) -> Field:
    parts = list(_parts(hint))
    kind = next((part for part in parts if isinstance(part, Kind)), None) or one_of(_names(parts))
    note = next((part.description for part in parts if isinstance(part, Meta) and part.description), "")
    always = required or any(isinstance(part, Always) for part in parts)
    return Field(name, kind, required, always, type(None) in parts, note)


@functools.cache
def fields_of(event: type[Struct]) -> tuple[Field, ...]:
    """Return the declared fields of an event, in their order."""
    hints = get_type_hints(event, include_extras=True)
    given = [(f.name, f.default is NODEFAULT and f.default_factory is NODEFAULT) for f in fields(event)]
    return tuple(_field(name, hints[name], required) for name, required in given)


class Checker:
    """The check of one declaration. msgspec accepts in C what is sound;
    only a refused event is walked field by field.
    """

    def __init__(self, declared: type[Struct]) -> None:
        self.declared = declared
        self.fields = fields_of(declared)
        self._beyond = tuple(
            (field.name, field.kind.beyond) for field in self.fields if field.kind.beyond is not None
        )

    def __call__(self, event: Event) -> None:
        """Raise BadEvent for the first field of an event that breaks its declaration."""
        try:
            convert(event, self.declared)
        except (ValueError, OverflowError, RecursionError) as error:
            self._walk(event)
            raise BadEvent("value", event, f"not a {self.declared.__name__} ({error})") from error
        for name, reason_of in self._beyond:
            value = event.get(name)
            if value is not None and (reason := reason_of(value)):
                raise BadEvent(name, value, reason)

    def _walk(self, event: Event) -> None:
        declared = {field.name for field in self.fields}
        foreign = {name: value for name, value in event.items() if name not in declared}
        for field in self.fields:
            value = event.get(field.name)
            if field.name not in event:
                if field.required:
                    raise BadEvent(field.name, *missing(field.name, foreign))
            elif value is None and field.nullable:
                continue
            elif reason := field.kind.reason(value):
                raise BadEvent(field.name, value, reason)
