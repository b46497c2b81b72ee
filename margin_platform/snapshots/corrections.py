"""The correction horizon: how long after its own time a fill or transfer may still arrive, or arrive again.

One that was produced later than that, on the market's time, is refused by its id: ids that old are not known
any more, so it may have been booked before. So is a corporate action of a day that long before. What is older
than all that may still arrive is folded into opening positions. A record's own time of production counts, not
when it is read, so that a rebuild from the topics books what was booked. In a replay, the market's records
say how much later than its own time a record is produced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import CASH, CORPORATE_ACTIONS, FILLS, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.corporate_actions import effective_time
from margin_platform.ledger.ledger import Ledger
from margin_platform.snapshots.stream_clock import Passed
from margin_platform.trading_time.new_york import date_of

_DAY_MS = 86_400_000
_PARTS = 10  # of the horizon; ids are kept for one part longer, as clocks and partitions differ
_NAMES = {FILLS: "fill_id", CASH: "transfer_id", CORPORATE_ACTIONS: "action_id"}


class Corrections:
    """How far each partition of the book's topics was read, on the market's time, and what was folded."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._part_ms = days * _DAY_MS // _PARTS
        self._read: dict[str, int] = {}  # partition -> market's time when its newest record was produced
        self._folded = 0

    def no_ids(self, *, by_account: bool) -> KnownIds:
        """Return an empty store of ids, which forgets them a part of the horizon at a time."""
        return KnownIds(by_account=by_account, span_ms=self._part_ms)

    def check(self, record: Record, event: Event, market: tuple[int, int]) -> None:
        """Count a record as read. BadEvent names the id of one beyond the horizon.

        market: event time of the market's newest record, and when it was produced; (0, 0) before the first.
        """
        name = _NAMES.get(record.topic)
        if name is None or not market[0]:
            return
        produced = record.timestamp_ms - (market[1] - market[0])
        place = f"{record.topic}[{record.partition}]"
        self._read[place] = max(produced, self._read.get(place, 0))
        at = effective_time(event) if record.topic == CORPORATE_ACTIONS else event["timestamp"]
        if at < produced - self._days * _DAY_MS:
            reason = f"of {date_of(at)}, more than {self._days} days before it was produced, when it may have"
            raise BadEvent(name, event[name], f"{reason} been booked under an id that is not known any more")

    def check_all(
        self, record: Record, times: NDArray[np.int64], produced: NDArray[np.int64], passed: Passed
    ) -> bool:
        """Count fills or transfers of a record's partition as read, if none of them is beyond the horizon;
        report whether.
        """
        if not passed.newest_before[0]:
            return not passed.newest_before[-1]
        on_market = produced - (passed.produced_before - passed.newest_before)
        if (times < on_market - self._days * _DAY_MS).any():
            return False
        place = f"{record.topic}[{record.partition}]"
        self._read[place] = max(int(on_market.max()), self._read.get(place, 0))
        return True

    def fold(self, ledger: Ledger) -> None:
        """Fold what no record may correct any more, once a part of the horizon."""
        past = min(self._read.values(), default=0) - self._days * _DAY_MS - self._part_ms
        if past - self._folded >= self._part_ms:
            ledger.fold(past)
            self._folded = past

    def to_state(self) -> dict[str, object]:
        """Return it as JSON."""
        return {"read": dict(self._read), "folded": self._folded}

    def restore(self, state: Json) -> None:
        """Continue from a saved state; one of before is empty."""
        self._read, self._folded = dict(state.get("read", {})), state.get("folded", 0)
