"""Records of one partition as columns: read plainly where they can be, field by field where they must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts import plain_reading
from margin_platform.contracts.messages import PRICES, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.contracts.plain_reading import Columns
from margin_platform.snapshots.intake.one_by_one import OneByOne
from margin_platform.snapshots.outcome import Touched

_UNKNOWN = -1


@dataclass(frozen=True)
class Rows:
    """Columns of one length, of the records that keep their contract, in their order.

    columns: the fields of their messages; times, produced: epoch milliseconds; codes: of the instruments, -1
    for an unknown one; events: by row, of those that were read field by field; refused: what the other
    records lead to.
    """

    records: Sequence[Record]
    columns: Columns
    times: NDArray[np.int64]
    produced: NDArray[np.int64]
    codes: NDArray[np.int64]
    events: dict[int, Event]
    refused: list[Touched]

    @property
    def topic(self) -> str:
        return self.records[0].topic


def rows_of(state: OneByOne, records: Sequence[Record]) -> Rows:
    """Read records of one partition of a topic whose messages have a symbol."""
    topic, code_of = records[0].topic, state.code_of
    reading = plain_reading.of_topic(topic)
    messages, columns, doubtful = reading.read([record.value for record in records])
    produced = np.array([record.timestamp_ms for record in records], dtype=np.int64)
    times, codes = np.zeros(len(messages), dtype=np.int64), np.full(len(messages), _UNKNOWN)
    plain = np.delete(np.arange(len(messages)), doubtful)
    times[plain] = columns["timestamp"]
    codes[plain] = [code_of.get(symbol, _UNKNOWN) for symbol in columns["symbol"]]
    ahead = times - produced > state.policy.prices.max_future_seconds * 1000
    if topic == PRICES:
        ahead |= codes == _UNKNOWN
    if not doubtful and not ahead.any():
        return Rows(records, columns, times, produced, codes, {}, [])
    events, refused = dict[int, Event](), list[Touched]()
    for n in sorted({*doubtful, *np.flatnonzero(ahead).tolist()}):
        try:
            events[n] = state.checked(records[n])
        except BadEvent as error:
            messages[n] = None
            refused.append(state.refused(records[n], error))
        else:
            messages[n] = reading.of(events[n])
            times[n], codes[n] = events[n]["timestamp"], code_of.get(events[n]["symbol"], _UNKNOWN)
    kept = [n for n, message in enumerate(messages) if message is not None]
    return Rows(
        [records[n] for n in kept],
        reading.columns([messages[n] for n in kept]),
        times[kept],
        produced[kept],
        codes[kept],
        {row: events[n] for row, n in enumerate(kept) if n in events},
        refused,
    )
