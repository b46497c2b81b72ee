"""What records of a batch touched, and the events they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import orjson
from typing_extensions import override

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import TOPICS, BadEvent, Event, encode
from margin_platform.contracts.offsets import Record

Offsets = dict[str, dict[str, list[int]]]  # topic -> partition -> [first, next) offset


class Touched(NamedTuple):
    """What records changed: accounts that traded, by number; instruments whose figures moved, by code.

    dead: the letters they led to.

    records: how many of them had not been applied before.
    """

    accounts: Set[int] = frozenset()
    instruments: Set[int] = frozenset()
    dead: Sequence[Event] = ()
    records: int = 0

    def also(self, other: Touched) -> Touched:
        """Return what either touched."""
        return Touched(
            self.accounts | other.accounts,
            self.instruments | other.instruments,
            [*self.dead, *other.dead],
            self.records + other.records,
        )


class Messages(Sequence[Event]):
    """Events as they go on the wire, with the keys of their records. Read as events, each is decoded."""

    def __init__(self, keys: Sequence[str] = (), texts: Sequence[bytes] = ()) -> None:
        self.keys, self.texts = keys, texts

    @classmethod
    def of(cls, topic: str, events: Iterable[Event]) -> Messages:
        """Encode the events of a topic."""
        given, key = list(events), TOPICS[topic].key
        return cls([str(event[key]) for event in given], [*map(encode, given)])

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Event]:
        return map(orjson.loads, self.texts)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Messages: ...
    @override
    def __getitem__(self, index: int | slice) -> Event | Messages:
        if isinstance(index, slice):
            return Messages(self.keys[index], self.texts[index])
        event: Event = orjson.loads(self.texts[index])
        return event

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Messages) -> Messages:
        return Messages([*self.keys, *other.keys], [*self.texts, *other.texts])


@dataclass
class Outcome:
    """What one batch leads to, decisions first. `accounts` is how many were evaluated.

    firm: what the accounts of a shard sum to, at a tick: firm.partials.v1.
    """

    status: Messages = field(default_factory=Messages)
    calc: Messages = field(default_factory=Messages)
    stress: Messages = field(default_factory=Messages)
    dead: list[Event] = field(default_factory=list)
    firm: list[Event] = field(default_factory=list)
    records: int = 0
    accounts: int = 0


def refused(record: Record, error: BadEvent) -> Event:
    """Return the dead letter of a record that cannot be used."""
    return dead_letter(
        record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms
    )
