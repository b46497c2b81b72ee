"""The newest row of every account, each change numbered,
so that any page can ask "what changed since N".

There is no log of changes to overflow. Every row carries the number of its last change; a page that comes
back after a cut, or reads slowly, gets each changed row once, in its newest form. Memory grows with accounts,
never with time.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import ACCOUNTS, FIRM_RISK, MARGIN_CALC, MARGIN_STATUS, STRESS, Event
from margin_platform.dashboard.state.account_row import (
    BAND,
    COLOR,
    COLORS,
    CUSTOMER,
    EQUITY,
    EXCESS,
    FLAGS,
    FROM_FIGURES,
    GROSS_MV,
    OLDEST_PRICE,
    TIMESTAMP,
    UNNAMED,
    Color,
    Person,
    RowFlag,
    color_of,
    event_time,
    person_of,
    row_of,
)
from margin_platform.dashboard.state.ladder_feed import ITEM_KINDS, LadderLog
from margin_platform.dashboard.state.packed_events import Packed
from margin_platform.dashboard.state.scenarios import ScenarioRows
from margin_platform.dashboard.state.worklist import delivery_of, worklist
from margin_platform.money import cents
from margin_platform.recordkeeping.call_acts import Work

_UNKNOWN_TIME = -1
_NEVER = np.iinfo(np.int64).max


def _ages_from(row: list[Any]) -> int:
    """Return the event time from which a row's figures age. Cash alone has no price that could grow old."""
    if row[GROSS_MV] == 0:
        return int(_NEVER)
    return _UNKNOWN_TIME if row[TIMESTAMP] is None else int(row[TIMESTAMP])


class NewestRows:
    """State of all accounts. One thread applies events, any number read; every public method takes the lock.

    `epoch` names this server's life: account numbers and sequence numbers mean nothing in another one.
    `cutoff_of`: the event time before which a calculation is old at an event time; such a row counts as gray,
    whatever its status said.
    """

    def __init__(self, cutoff_of: Callable[[int], int]) -> None:
        self.epoch = uuid.uuid4().hex[:12]
        self._cutoff_of = cutoff_of
        self.cutoff: int | None = None
        self.log = LadderLog()
        self.sequence = 0
        self.event_clock: int | None = None
        self.bad_events = 0
        self._lock = threading.Lock()
        self._number: dict[str, int] = {}
        self._rows: list[tuple[object, ...]] = []
        self._columns(1024)
        self._calc = Packed[str]()
        self._calculated: dict[str, int] = {}  # event time of each account's newest margin.calc.v1
        self._status = Packed[str]()
        self._band: dict[str, object] = {}
        self._stressed: set[str] = set()
        self._people: dict[str, Person] = {}
        self._scenarios = ScenarioRows()
        self._firm: dict[str, Event] = {}
        self._firm_policy: object = None
        self._firm_changed = 0
        self._clocks: dict[int, int] = {}  # event time by partition of margin.calc.v1
        self._status_clock: int | None = None  # counts until the first calculation is read

    def _columns(self, size: int) -> None:
        self._changed = np.zeros(size, dtype=np.int64)
        self._time = np.full(size, _UNKNOWN_TIME, dtype=np.int64)
        self._oldest = np.full(size, _UNKNOWN_TIME, dtype=np.int64)
        self._color = np.full(size, Color.GRAY, dtype=np.int8)
        self._owed = np.zeros(size)  # dollars of unsecured debit

    # -- writing

    def apply(self, batch: list[tuple[str, int, Event]]) -> None:
        """Take in (topic, partition, checked event) in topic order as one numbered change."""
        if not batch:
            return
        with self._lock:
            self.sequence += 1
            for topic, partition, event in batch:
                if topic == MARGIN_CALC:
                    self._take_calc(partition, event)
                elif topic == MARGIN_STATUS:
                    self._take_status(event)
                elif topic == STRESS:
                    self._scenarios.put(event)
                elif topic == FIRM_RISK:
                    self._take_firm(event)
                elif topic == ACCOUNTS:
                    self._take_terms(event)
                elif topic in ITEM_KINDS:
                    self._reflag(self.log.apply(topic, event, self.sequence))
            self._move_clock(max(self._clocks.values(), default=self._status_clock))

    def _move_clock(self, clock: int | None) -> None:
        if clock is not None and clock != self.event_clock:
            self.event_clock, self.cutoff = clock, self._cutoff_of(clock)

    def _take_calc(self, partition: int, event: Event) -> None:
        """Take in a calculation: within a partition the log's order decides, also when a replay starts over
        at an earlier day.
        """
        if (stamp := event_time(event)) is not None:
            self._clocks[partition] = stamp
        account = event["account_id"]
        self._calc.put(account, event)
        self._calculated[account] = stamp or 0
        self._show(event)

    def _take_status(self, event: Event) -> None:
        account = event["account_id"]
        self._status.put(account, event)
        self._band[account] = event.get("band")
        (self._stressed.add if event.get("severe_underwater") else self._stressed.discard)(account)
        known = self._calculated.get(account)
        if known is None or (event_time(event) or 0) >= known:
            self._show(event)
        else:
            self._reflag(account)
        self._status_clock = event_time(event) or self._status_clock

    def _take_terms(self, event: Event) -> None:
        account, person = event["account_id"], person_of(event)
        self._people[account] = person
        number = self._number.get(account)
        if number is not None and self._rows[number]:
            row: list[Any] = list(self._rows[number])
            row[CUSTOMER : CUSTOMER + len(person)] = person
            self._put(number, row)

    def _take_firm(self, event: Event) -> None:
        """Take in a firm event: another policy may have other scenarios, and those of the last one no longer
        count."""
        if event.get("policy_version") != self._firm_policy:
            self._firm.clear()
            self._firm_policy = event.get("policy_version")
        self._firm[str(event["scenario"])] = event
        self._firm_changed = self.sequence

    def _show(self, event: Event) -> None:
        account = event["account_id"]
        number = self._number.get(account)
        if number is None:
            number = self._enrol(account)
        row = row_of(number, event, self._flags(account), self._people.get(account, UNNAMED))
        row[BAND] = row[BAND] or self._band.get(account)
        self._put(number, row)

    def _enrol(self, account: str) -> int:
        number = self._number[account] = len(self._rows)
        self._rows.append(())
        if number == len(self._changed):
            for name in ("_changed", "_time", "_oldest", "_color", "_owed"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        return number

    def _put(self, number: int, row: list[Any]) -> None:
        row[COLOR] = color = color_of(row)
        self._rows[number] = tuple(row)
        self._changed[number] = self.sequence
        self._time[number] = _ages_from(row)
        self._oldest[number] = _UNKNOWN_TIME if row[OLDEST_PRICE] is None else row[OLDEST_PRICE]
        self._color[number] = color
        self._owed[number] = -row[EQUITY] if row[FLAGS] & RowFlag.UNSECURED else 0.0

    def _flags(self, account: str) -> int:
        return self.log.flags(account) | (RowFlag.STRESSED if account in self._stressed else 0)

    def _reflag(self, account: str) -> None:
        number = self._number.get(account)
        if number is None:
            return
        row: list[Any] = list(self._rows[number])
        row[FLAGS] = self._flags(account) | row[FLAGS] & FROM_FIGURES
        row[BAND] = self._band.get(account) or row[BAND]
        self._put(number, row)

    # -- reading

    def changed(self, after: int) -> tuple[int, NDArray[np.int64]]:
        """Return (sequence now, numbers of the accounts changed after a sequence number): what a page
        lacks."""
        with self._lock:
            return self.sequence, np.flatnonzero(self._changed[: len(self._rows)] > after)

    def rows(self, numbers: NDArray[np.int64]) -> list[tuple[object, ...]]:
        """Return the newest rows of these accounts; one enrolled but not yet computed is left out."""
        with self._lock:
            return [self._rows[n] for n in numbers.tolist() if self._rows[n]]

    def feed(self, after: int) -> list[dict[str, object]]:
        """Return feed items new or changed after a sequence number."""
        with self._lock:
            return self.log.changed_since(after)

    def firm(self, after: int = -1) -> list[Event] | None:
        """Return the newest firm.risk.v1 event of each scenario; None where nothing changed after a sequence
        number.
        """
        with self._lock:
            return list(self._firm.values()) if self._firm_changed > after else None

    def summary(self) -> dict[str, object]:
        """Count accounts by color (old rows are gray) and open calls; return them with the next due time and
        the oldest price: the header's figures.
        """
        with self._lock:
            count = len(self._rows)
            color, time, oldest = self._color[:count], self._time[:count], self._oldest[:count]
            gray = color == Color.GRAY
            if self.cutoff is not None:
                gray = gray | (time < self.cutoff)
            by_color = np.bincount(np.where(gray, Color.GRAY, color), minlength=len(COLORS))
            known = oldest[oldest != _UNKNOWN_TIME]
            owed = self._owed[:count]
            return {
                "accounts": count,
                "colors": dict(zip(COLORS, by_color.tolist(), strict=True)),
                "event_clock": self.event_clock,
                "cutoff": self.cutoff,
                "calls_open": len(self.log.open_calls),
                "next_due": self.log.next_due(self.event_clock),
                "past_due": self.log.past_due(self.event_clock),
                "restricted": len(self.log.restricted),
                "unsecured": {"accounts": int((owed > 0).sum()), "amount": cents(float(owed.sum()))},
                "oldest_price": int(known.min()) if len(known) else None,
                "bad_events": self.bad_events,
            }

    def failing(self, scenario: float) -> list[str]:
        """Return the accounts that are short of margin under a SPY move, the requirement recomputed."""
        with self._lock:
            return self._scenarios.failing(scenario)

    def worklist(self, done: Mapping[str, Work]) -> list[Json]:
        """Return the open calls as a list of work; done: what people did, by call."""
        with self._lock:
            calls = self.log.open_calls
            found = {a: self._rows[n] for a in calls if (n := self._number.get(a)) is not None}
            return worklist(
                calls,
                {account: row[EXCESS] for account, row in found.items() if row},
                self._people,
                {a: delivery_of(self.log.timelines.get(a, ())) for a in calls},
                done,
                self.event_clock,
            )

    def numbers_of(self, account_ids: Iterable[str]) -> list[int]:
        """Return the numbers of these accounts; one without a published event has none."""
        with self._lock:
            return sorted(self._number[a] for a in account_ids if a in self._number)

    def account(self, account_id: str) -> Json | None:
        """Return everything published about one account; None for an unknown account."""
        with self._lock:
            if account_id not in self._number and account_id not in self.log.timelines:
                return None
            return {
                "calc": self._calc.get(account_id) or self._status.get(account_id),
                "status": self._status.get(account_id),
                "stress": self._scenarios.of(account_id),
                "flags": self._flags(account_id),
                "person": self._people.get(account_id, UNNAMED),
                "call": self.log.open_calls.get(account_id),
                "timeline": [item.wire() for item in self.log.timelines.get(account_id, ())],
            }
