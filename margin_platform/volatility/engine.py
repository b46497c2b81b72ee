"""The volatility engine: prices in, one volatility a symbol and session out.

What the Spark stream runs, without Spark.

A symbol's close is the print that its source marks as the official close of an XNYS session, else its last
price in market hours by event time and sequence: a price paid in the evening or before the opening is no
close. Once a session is over (the event clock has reached its closing time) the volatility of every symbol
that traded is computed from its last 31 closes. It is published again where what it rests on changes: a split
booked after its day, a print of the session that was read late, a corrected close. A close shaped like a
split that was not announced waits for the corporate action until the next session is over.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from margin_platform.contracts.action_terms import ActionKind, as_written
from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, BadEvent, Event, check_time, decode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.volatility_tiers import tiers
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.market.split_shape import split_shape
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import in_session, is_session, session_close
from margin_platform.volatility.close import Close
from margin_platform.volatility.estimator import historical_volatility
from margin_platform.volatility.prints_of_a_day import LEAST, PrintsOfADay, Reader

_place = attrgetter("topic", "partition")
_DAYS_MOVE = 0.05  # how far a split's close may be from the ratio: MSFT closed 3.3% above half on 2003-02-18


class VolatilityEngine:
    """Closes by symbol (as traded; splits are applied when used) and which session each symbol was last
    published for.

    least: prints of a partition that are looked at as columns.
    holds: which symbols it keeps. The prints of the others move its clock, so that engines that share the
    symbols publish what one would.
    """

    least = LEAST

    def __init__(self, policy: Policy, holds: Callable[[str], bool] = lambda _: True) -> None:
        self.policy = policy
        self._holds = holds
        self._reader = Reader(holds, policy.prices.max_future_seconds)
        self._sessions: dict[str, list[str]] = {}  # symbol -> session dates, ascending
        self._closes: dict[str, dict[str, Close]] = {}  # symbol -> session -> close
        self._actions = AnnouncedActions()
        self._published: dict[str, str] = {}
        self._last_print: dict[str, int] = {}  # symbol -> newest event time, of whatever hour
        self._tiers: dict[str, int] = {}  # symbol -> add-on tier as last published, which hysteresis may keep
        # and the one of the session before, from which that one is computed again
        self._tiers_before: dict[str, int] = {}
        self._changed: set[str] = set()  # symbols whose published session must be computed again
        self._touched: set[str] = set()  # symbols with a print or an action since `_completed`
        self._over = ""  # the newest day that was over then
        self.next_offset: dict[str, dict[int, int]] = {PRICES: {}, CORPORATE_ACTIONS: {}}
        self.event_time = 0

    def process(self, records: Iterable[Record]) -> list[Event]:
        """Return volatility.v1 events of the sessions that these records completed.

        Bad records are the margin stream's to report.
        """
        for place, some in groupby(sorted(records, key=lambda r: (*_place(r), r.offset)), _place):
            fresh = self._fresh(*place, some)
            prints = self._reader.read(fresh) if len(fresh) >= self.least and place[0] == PRICES else None
            if prints is not None:
                self._take_day(prints)
                continue
            for record in fresh:
                self._take_record(record)
        return self._completed()

    def _fresh(self, topic: str, partition: int, records: Iterable[Record]) -> list[Record]:
        """Return the records of a partition, in its order, that were not applied before; count them as
        applied.
        """
        ends, fresh = self.next_offset[topic], list[Record]()
        for record in records:
            if record.offset >= ends.get(partition, 0):
                ends[partition] = record.offset + 1
                fresh.append(record)
        return fresh

    def _take_day(self, prints: PrintsOfADay) -> None:
        self.event_time = max(self.event_time, prints.event_time)
        session = prints.day.isoformat()
        for symbol, time in prints.newest:
            self._touched.add(symbol)
            self._last_print[symbol] = max(self._last_print.get(symbol, 0), time)
        for symbol, close in prints.closes:
            self._offer(symbol, session, close)

    def _take_record(self, record: Record) -> None:
        with contextlib.suppress(BadEvent):  # margin_snapshots reads the topic too, and sends dead letters
            event = decode(record.topic, record.value)
            check_time(event, record.timestamp_ms, self.policy.prices.max_future_seconds)
            self._take(record.topic, event)

    def _take(self, topic: str, event: Event) -> None:
        symbol = event["symbol"]
        if topic == PRICES:
            self.event_time = max(self.event_time, event["timestamp"])
        if not self._holds(symbol):
            return
        self._touched.add(symbol)
        if topic == CORPORATE_ACTIONS:
            self._book(symbol, event)
            return
        if event.get("correction"):
            self._correct(symbol, event)
        self._last_print[symbol] = max(self._last_print.get(symbol, 0), event["timestamp"])
        day = date_of(event["timestamp"])
        if not is_session(day) or not (event.get("official_close") or in_session(event["timestamp"])):
            return
        remarks = (event.get("sequence"), bool(event.get("confirmed")), bool(event.get("official_close")))
        self._offer(symbol, day.isoformat(), Close(event["timestamp"], float(event["price"]), *remarks))

    def _offer(self, symbol: str, session: str, found: Close) -> None:
        """Keep a print as the close of its session where it is."""
        closes = self._closes.setdefault(symbol, {})
        if session not in closes:
            insort(self._sessions.setdefault(symbol, []), session)
            self._forget(symbol)
            if session not in self._sessions[symbol]:
                return  # older than anything still kept
        if session not in closes or found.supersedes(closes[session]):
            closes[session] = found
            if session <= self._published.get(symbol, ""):
                self._changed.add(symbol)

    def _book(self, symbol: str, action: Event) -> None:
        before = self._splits(symbol)
        with contextlib.suppress(BadEvent):  # the margin stream reports it
            self._actions.add(action)
        changed = {day for day, _ in {*before} ^ {*self._splits(symbol)}}
        sessions = self._sessions.get(symbol)
        if sessions and any(sessions[0] < day <= self._published.get(symbol, "") for day in changed):
            self._changed.add(symbol)

    def _splits(self, symbol: str) -> list[tuple[str, float]]:
        """Return ex-date and ratio of the symbol's splits."""
        splits = self._actions.splits(symbol)
        return [
            (dt.datetime.fromtimestamp(a.effective / 1000, NEW_YORK).date().isoformat(), float(a.ratio))
            for a in splits
        ]

    def _correct(self, symbol: str, event: Event) -> None:
        """Replace the close of a session where it is the very print that its source withdrew: the last one,
        if it names none.
        """
        withdrawn = event.get("corrects_timestamp") or self._last_print.get(symbol, 0)
        session = date_of(withdrawn).isoformat()
        close = self._closes.get(symbol, {}).get(session)
        if close is not None and close.timestamp == withdrawn and event["timestamp"] > withdrawn:
            self._closes[symbol][session] = close._replace(price=float(event["price"]))
            if session <= self._published.get(symbol, ""):
                self._changed.add(symbol)

    def _forget(self, symbol: str) -> None:
        """Drop closes older than the window, and keep some more for a session that is still open or a late
        print."""
        sessions = self._sessions[symbol]
        while len(sessions) > self.policy.volatility.vol_window + 5:
            self._closes[symbol].pop(sessions.pop(0), None)

    def _completed(self) -> list[Event]:
        """Return an event of each symbol with another session over, or with a change in a published one.

        While no further day is over, only the symbols that were touched can have one.
        """
        events, over = [], self._newest_day_over()
        for symbol, sessions in self._sessions.items():
            if over == self._over and symbol not in self._touched:
                continue
            known = bisect_right(sessions, over)
            newest = sessions[known - 1] if known else ""
            if newest > self._published.get(symbol, "") and not self._awaits_action(symbol, newest):
                self._tiers_before[symbol] = self._tiers.get(symbol, 0)
                events.append(self._event(symbol, newest))
                self._published[symbol] = newest
            elif symbol in self._changed:
                events.append(self._event(symbol, self._published[symbol]))
        self._changed.clear()
        self._touched.clear()
        self._over = over
        return events

    def _awaits_action(self, symbol: str, session: str) -> bool:
        """Report whether the close of a session is a split's away from the one before, with no split booked
        and no word from its source.
        """
        sessions, closes = self._sessions[symbol], self._closes[symbol]
        at = bisect_left(sessions, session)
        if at == 0 or closes[session].confirmed:
            return False
        if any(sessions[at - 1] < ex <= session for ex, _ in self._splits(symbol)):
            return False
        return split_shape(closes[sessions[at - 1]].price, closes[session].price, _DAYS_MOVE) is not None

    def _newest_day_over(self) -> str:
        """Return the newest date whose session, if it has one, is over on the event clock."""
        now = dt.datetime.fromtimestamp(self.event_time / 1000, NEW_YORK)
        day = now.date()
        if is_session(day) and now < session_close(day):
            day -= dt.timedelta(days=1)
        return day.isoformat()

    def _event(self, symbol: str, session: str) -> Event:
        sessions = self._sessions[symbol][: bisect_left(self._sessions[symbol], session) + 1]
        closes = np.array([self._closes[symbol][s].price for s in sessions])
        splits = [(bisect_left(sessions, ex), ratio) for ex, ratio in self._splits(symbol) if ex <= session]
        found = historical_volatility(closes, self.policy, splits)
        sigma = round(found.sigma, 6)  # the tier is that of the published figure
        held = np.array([self._tiers_before.get(symbol, 0)])
        self._tiers[symbol] = int(tiers(np.array([sigma]), held, self.policy.volatility)[0])
        return {
            "symbol": symbol,
            "volatility_annual": sigma,
            "observations": found.observations,
            "quality": found.quality,
            "tier": self._tiers[symbol],
            "as_of": session,
            "policy_version": self.policy.version,
            "timestamp": int(session_close(dt.date.fromisoformat(session)).timestamp() * 1000),
        }

    def to_state(self) -> dict[str, object]:
        return {
            "closes": {
                symbol: {session: list(close) for session, close in rows.items()}
                for symbol, rows in self._closes.items()
            },
            "actions": self._actions.to_state(),
            "published": self._published,
            "tiers": self._tiers,
            "tiers_before": self._tiers_before,
            "event_time": self.event_time,
            "last_print": self._last_print,
            "next_offset": {
                t: {str(p): o for p, o in parts.items()} for t, parts in self.next_offset.items()
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._closes = {s: {d: Close(*row) for d, row in rows.items()} for s, rows in state["closes"].items()}
        self._sessions = {s: sorted(rows) for s, rows in self._closes.items()}
        self._actions.restore(state["actions"] if "actions" in state else _of_splits(state["splits"]))
        self._published, self.event_time = dict(state["published"]), state["event_time"]
        self._tiers, self._tiers_before = dict(state["tiers"]), dict(state["tiers_before"])
        self._last_print = dict(state.get("last_print", {}))
        self.next_offset = {
            t: {int(p): o for p, o in parts.items()} for t, parts in state["next_offset"].items()
        }


def _of_splits(splits: dict[str, list[list[Any]]]) -> list[tuple[Event, dict[str, Any]]]:
    """Return the announcements of the splits in a state of before 0.2:
    (ex-date, action id, ratio) by symbol.
    """
    return [
        (
            {
                "action_id": action_id,
                "symbol": symbol,
                "kind": ActionKind.SPLIT,
                "ex_date": ex,
                "timestamp": 0,
            }
            | dict(zip(("ratio_new", "ratio_old"), as_written(ratio), strict=True)),
            {},
        )
        for symbol, rows in splits.items()
        for ex, action_id, ratio in rows
    ]
