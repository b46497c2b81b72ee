"""What records of a batch touched, and the events they lead to."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.contracts.offsets import Record

Offsets = dict[str, dict[str, list[int]]]  # topic -> partition -> [first, next) offset


class Touched(NamedTuple):
    """What records changed: accounts that traded, instruments whose figures moved.

    dead: the letters they led to.

    records: how many of them had not been applied before.
    """

    accounts: Set[str] = frozenset()
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


@dataclass
class Outcome:
    """What one batch leads to, decisions first. `accounts` is how many were evaluated.

    firm: what the accounts of a shard sum to, at a tick: firm.partials.v1.
    """

    status: list[Event] = field(default_factory=list)
    calc: list[Event] = field(default_factory=list)
    stress: list[Event] = field(default_factory=list)
    dead: list[Event] = field(default_factory=list)
    firm: list[Event] = field(default_factory=list)
    records: int = 0
    accounts: int = 0


def refused(record: Record, error: BadEvent) -> Event:
    """Return the dead letter of a record that cannot be used."""
    return dead_letter(
        record.topic, record.partition, record.offset, record.value, error, record.timestamp_ms
    )
