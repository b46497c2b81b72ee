"""Account shards: which engine holds an account, and which records every engine reads.

An account belongs to one shard, by a stable hash of its id. Everything about the market goes to all shards,
so that each has the same prices, gate and clock. The clock of all shards is the market's: event times of
fills, cash and terms do not move it, as no shard sees them all. A tick of the wall's clock is a record too.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import orjson

from margin_platform.contracts.messages import BETAS, CORPORATE_ACTIONS, FILLS, PRICES, VOLATILITY
from margin_platform.contracts.offsets import Record
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER

SHARED = frozenset((CORPORATE_ACTIONS, BETAS, VOLATILITY, PRICES, CLOCK))
_FIRST = 0  # the shard that answers for what belongs to no account


@dataclass(frozen=True)
class Shard:
    """One of several shards, numbered from 0. shared: topics that move the clock and name a batch."""

    number: int = _FIRST
    of: int = 1
    shared: frozenset[str] = SHARED

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"

    def holds(self, account_id: str) -> bool:
        """Report whether the account's records belong here."""
        return self.of == 1 or shard_of(account_id, self.of) == self.number

    def answers_for(self, topic: str) -> bool:
        """Report whether this shard writes a topic's dead letters: of a shared one, one shard does."""
        return topic not in self.shared or self.number == _FIRST

    @property
    def ids_by_account(self) -> bool:
        """Whether an id of a fill or transfer is one of its account, as no shard knows those of all."""
        return FILLS not in self.shared


WHOLE = Shard(shared=frozenset((*TOPICS_IN_ORDER, CLOCK)))  # one engine that reads everything


def shard_of(account_id: str, shards: int) -> int:
    """Return the number of an account's shard: CRC-32 of its id in UTF-8, as Spark's `crc32` has it."""
    return zlib.crc32(account_id.encode()) % shards


def shards_of(record: Record, shards: int) -> range:
    """Return the numbers of the shards that read a record.

    Kafka's keys are not trusted: the account is the one that the message names. One without a name is read by
    the first shard, which refuses it.
    """
    if record.topic in SHARED:
        return range(shards)
    account_id = _account_of(record.value)
    number = _FIRST if account_id is None else shard_of(account_id, shards)
    return range(number, number + 1)


def _account_of(raw: bytes | None) -> str | None:
    try:
        event = orjson.loads(raw or b"")
    except orjson.JSONDecodeError:
        return None
    found = event.get("account_id") if isinstance(event, dict) else None
    return found if isinstance(found, str) else None
