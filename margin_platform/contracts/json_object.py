"""JSON objects without one declared shape: documents that people write, results that pages and commands show;
and what no reader can rely on in any object.

Events have declarations of their own (`contracts/events`).
"""

from __future__ import annotations

import json
from typing import Any

import orjson

Json = dict[str, Any]
Flaw = tuple[str, object, str]  # field, value, reason
_ESCAPED_COLON = rb"\u003"  # or another of those sixteen characters
_DEEPEST = 64  # objects and lists inside each other; a writer of JSON gives up at 254, Python at about 1,000


class _Twice(Exception):
    """A key that stands twice in one object, with its values."""


def flaw_of_depth(value: object, raw: bytes) -> Flaw | None:
    """Return what is wrong with a value of this text that nests so deeply that it could not be written
    again; None where it does not.
    """
    if raw.count(b"[") + raw.count(b"{") <= _DEEPEST:
        return None
    level: list[object] = [value]
    for _ in range(_DEEPEST):
        level = [part for outer in level for part in _parts(outer)]
    if not level:
        return None
    return "value", raw[:80].decode(errors="replace"), f"nested more than {_DEEPEST} deep"


def flaw_of_keys(value: Json, raw: bytes) -> Flaw | None:
    """Return the key that an object of this text has twice: no reader could know which counts. None where it
    has none.

    A key takes a colon. So a text with as many colons as what was read of it, written again, has none twice;
    only the others, and those that may hide a colon in an escape, are read again.
    """
    if _ESCAPED_COLON not in raw and raw.count(b":") == orjson.dumps(value).count(b":"):
        return None
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except _Twice as found:
        name, values = found.args
        return name, values, "given twice in one object"
    return None


def _parts(value: object) -> list[object]:
    """Return the objects and lists directly inside of one."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [part for part in inside if isinstance(part, dict | list)]


def _unique(pairs: list[tuple[str, object]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(twice, [value for name, value in pairs if name == twice])
    return found
