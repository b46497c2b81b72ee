"""Entries: one decision or act each, chained to the one before it by hash.

Format 1 hashes the decision alone. Format 2 has `"format": 2` inside the entry, and also holds the hash of
the evidence, the account's standing after the decision, and the hash of the order that was sent. Source: SEC
17a-4(f)(2)(i)(A).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import orjson

T = TypeVar("T")
GENESIS = "0" * 64
ENTRY_FORMAT = 2
ACTS = "firm/acts"  # the chain of what people did: it stands where an account id would
ANCHORS = "firm/anchors"  # key of anchors on audit.v1


def canonical(value: Any) -> bytes:
    """Return the one JSON form of a value: keys sorted, no blanks, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def of_type(kind: type[T], value: object) -> T:
    """Return a value of this type. TypeError where it is another:
    a file and SQLite keep what they are given.
    """
    if not isinstance(value, kind):
        raise TypeError(f"not {kind.__name__}, value {value!r:.80}")
    return value


def entry_hash(previous: str, entry: Mapping[str, Any]) -> str:
    """Return the hash of an entry after another:
    sha256 of the previous hash and the entry's canonical JSON.
    """
    return text_hash(previous, canonical(entry))


def text_hash(previous: str, text: bytes) -> str:
    """Return the hash of an entry that is given as its canonical JSON."""
    return hashlib.sha256(previous.encode() + text).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One recorded entry.

    number: 1, 2, 3 ... of its chain; decided_at: event time, epoch milliseconds; text: canonical JSON.
    """

    account_id: str
    number: int
    decided_at: int
    text: bytes
    previous_hash: str
    hash: str

    @cached_property
    def content(self) -> dict[str, Any]:
        """What was decided, field by field; empty where the text is no object."""
        found = orjson.loads(self.text)
        return found if isinstance(found, dict) else {}

    @property
    def is_format_1(self) -> bool:
        """Whether it was made before entries held evidence."""
        return "format" not in self.content
