"""Records of one partition as columns: read plainly where they can be, field by field where they must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.messages import PRICES, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.texts import NOT_THERE
from margin_platform.message_columns import plain_reading
from margin_platform.message_columns.plain_reading import Columns
from margin_platform.snapshots.intake.one_by_one import OneByOne
from margin_platform.snapshots.outcome import Touched


@dataclass(frozen=True)
class Rows:
    """Columns of one length, of the records that keep their contract, in their order.

    columns: the fields of their messages; times, produced: epoch milliseconds; codes: of the instruments, or
    NOT_THERE; events: by row, of those that were read field by field; refused: what the others lead to.
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
    topic, events, refused = records[0].topic, dict[int, Event](), list[Touched]()
    columns, doubtful = plain_reading.of_topic(topic).read([record.value for record in records])
    produced = np.array([record.timestamp_ms for record in records], dtype=np.int64)
    again = columns.whole("timestamp") - produced > state.policy.prices.max_future_seconds * 1000
    if topic == PRICES:
        again |= state.codes_of(columns.texts("symbol")) == NOT_THERE
    again[doubtful] = True
    for n in np.flatnonzero(again).tolist():
        try:
            events[n] = state.checked(records[n])
        except BadEvent as error:
            refused.append(state.refused(records[n], error))
        else:
            again[n] = False
    if events or refused:
        kept = np.flatnonzero(~again)
        columns, produced = columns.with_events(events).take(kept), produced[kept]
        records = [records[n] for n in kept.tolist()]
        events = {row: events[n] for row, n in enumerate(kept.tolist()) if n in events}
    times, codes = columns.whole("timestamp"), state.codes_of(columns.texts("symbol"))
    return Rows(records, columns, times, produced, codes, events, refused)
