"""What an engine has read: the next offset of each partition, and the offsets that its last batch consumed.

A figure names the offsets it follows from, and its id is made of them. They are those of the topics that
every engine of the stream reads, and those of the account's own records. So figure and id do not depend on
how many engines share the accounts.

A figure also names the offset of fills.v1 before which it knows its account's fills. They are all in one
partition, and the stream may be behind in that partition alone. A venue that works an order sized on such
figures counts the fills from that offset on itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import lt
from typing import Any

import numpy as np

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import FILLS, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.texts import NOT_THERE, Numbers, Texts
from margin_platform.ledger.ledger import Ledger
from margin_platform.snapshots.input_records import CLOCK, TOPICS_IN_ORDER
from margin_platform.snapshots.outcome import Offsets
from margin_platform.snapshots.shards import Shard


class Consumed:
    """Next offsets by topic and partition, and the last batch: its number, its offsets, and by account the
    offsets of the account's own records.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self.next_offset: dict[str, dict[int, int]] = {topic: {} for topic in (*TOPICS_IN_ORDER, CLOCK)}
        self.batch = -1
        self.offsets: Offsets = {}
        self.own: dict[str, Offsets] = {}
        # accounts of the batch's fills, by id or number, and the next offset after each, as they were read
        self.fills: list[tuple[str, int] | tuple[Numbers, Numbers]] = []

    def begin(self, batch_id: int) -> None:
        """Begin a batch."""
        self.batch, self.offsets, self.own, self.fills = batch_id, {}, {}, []

    def new(self, records: list[Record]) -> list[Record]:
        """Return the records of one partition, in its order, that were not applied before, and count them as
        applied.

        Those that were still count for the batch's id.
        """
        first, last = records[0], records[-1]
        if first.topic in self._shard.shared:
            _extend(self.offsets, first)
            _extend(self.offsets, last)
        ends, offsets = self.next_offset[first.topic], [record.offset for record in records]
        known = ends.get(first.partition, 0)
        ends[first.partition] = max(known, last.offset + 1)
        if known <= first.offset and all(map(lt, offsets, offsets[1:])):
            return records
        found = []
        for record in records:
            if record.offset >= known:
                known = record.offset + 1
                found.append(record)
        return found

    def count_own(self, record: Record, event: Event) -> None:
        """Count a record as its account's own, where it is of one account only.

        BadEvent where the account is another shard's.
        """
        if record.topic == FILLS:
            self.fills.append((event["account_id"], record.offset + 1))
        if record.topic in self._shard.shared:
            return
        account_id = event["account_id"]
        if not self._shard.holds(account_id):
            raise BadEvent("account_id", account_id, f"not of {self._shard}, which read it")
        _extend(self.own.setdefault(account_id, {}), record)

    def count_all_own(self, records: Sequence[Record], numbers: Numbers, account_ids: Texts) -> None:
        """Count records of one topic as their accounts' own, all of them of this shard. numbers: of the
        accounts, NOT_THERE for one that the book does not have.
        """
        if records[0].topic == FILLS:
            ends = np.array([record.offset for record in records], dtype=np.int64) + 1
            unknown = np.flatnonzero(numbers == NOT_THERE)
            self.fills.append((numbers, ends))
            self.fills += zip(account_ids.take(unknown).strings(), ends[unknown].tolist(), strict=True)
        if records[0].topic not in self._shard.shared:
            for record, account_id in zip(records, account_ids.strings(), strict=True):
                _extend(self.own.setdefault(account_id, {}), record)

    def to_state(self) -> dict[str, object]:
        """Return it as JSON."""
        return {
            "last_batch": self.batch,
            "last_offsets": self.offsets,
            "next_offset": {
                topic: {str(p): o for p, o in parts.items()} for topic, parts in self.next_offset.items()
            },
        }

    def restore(self, state: Json) -> None:
        """Continue from a saved state. An account's own records are published with their batch."""
        self.begin(state["last_batch"])
        self.offsets = state["last_offsets"]
        self.next_offset |= {
            topic: {int(p): o for p, o in parts.items()} for topic, parts in state["next_offset"].items()
        }


class FillsRead:
    """The next offset after the newest fill that was read of each account, by its number in the ledger; 0
    where none is known, as in a state saved by an older version, or of a fill that came before its account.
    """

    def __init__(self) -> None:
        self._next: Numbers = np.zeros(0, dtype=np.int64)

    def note(self, fills: Iterable[tuple[str, int] | tuple[Numbers, Numbers]], ledger: Ledger) -> None:
        """Note the next offset by account after a batch's fills."""
        if (more := len(ledger) - len(self._next)) > 0:
            self._next = np.append(self._next, np.zeros(max(more, len(self._next), 1024), dtype=np.int64))
        for account, end in fills:
            if not isinstance(account, str):
                known = account != NOT_THERE
                self._next[account[known]] = np.asarray(end)[known]
            elif account in ledger:
                self._next[ledger.number_of(account)] = end

    def of(self, number: int) -> int | None:
        """Return the offset of an account by its number, None where it is not known."""
        return (int(self._next[number]) or None) if number < len(self._next) else None

    def to_state(self) -> Numbers:
        """Return it as a column."""
        return self._next.copy()

    def restore(self, state: Any) -> None:
        """Continue from a saved column."""
        self._next = np.array(state, dtype=np.int64)


def _extend(offsets: Offsets, record: Record) -> None:
    span = offsets.setdefault(record.topic, {}).setdefault(
        str(record.partition), [record.offset, record.offset + 1]
    )
    span[1] = record.offset + 1
