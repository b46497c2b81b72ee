"""The volatility engine: prices in, one volatility a symbol and session out. What the Spark stream runs, without Spark.

A symbol's close is its last price of an XNYS session by event time. Once a session is over (the event clock has reached
its closing time) the volatility of every symbol that traded is computed, once, from its last 31 closes.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, insort
from collections.abc import Iterable
from typing import Any

import numpy as np

from margin_platform.bus import Record
from margin_platform.business_days import NEW_YORK, is_session, session_close
from margin_platform.events import CORPORATE_ACTIONS, PRICES, BadEvent, Event, decode
from margin_platform.policy import Policy
from margin_platform.volatility import historical_volatility, tiers


class VolatilityEngine:
    """Closes by symbol (as traded; splits are applied when used) and which session each symbol was last published for."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._sessions: dict[str, list[str]] = {}                       # symbol -> session dates, ascending
        self._closes: dict[str, dict[str, tuple[int, float]]] = {}      # symbol -> session -> (event time, price)
        self._splits: dict[str, list[tuple[str, str, float]]] = {}      # symbol -> (ex-date, action id, ratio)
        self._published: dict[str, str] = {}
        self._tiers: dict[str, int] = {}    # symbol -> add-on tier as last published, which hysteresis may keep
        self.next_offset: dict[str, dict[int, int]] = {PRICES: {}, CORPORATE_ACTIONS: {}}
        self.event_time = 0

    def process(self, records: Iterable[Record]) -> list[Event]:
        """volatility.v1 events of the sessions that these records completed. Bad records are the margin stream's to report."""
        for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
            if record.offset < self.next_offset[record.topic].get(record.partition, 0):
                continue
            self.next_offset[record.topic][record.partition] = record.offset + 1
            try:
                event = decode(record.topic, record.value)
            except BadEvent:
                continue   # margin_snapshots reads the same topic and sends it to dead_letter.v1
            if event["timestamp"] > record.timestamp_ms + self.policy.prices.max_future_seconds * 1000:
                continue
            self._take(record.topic, event)
        return self._completed()

    def _take(self, topic: str, event: Event) -> None:
        symbol = event["symbol"]
        if topic == CORPORATE_ACTIONS:
            split = (event["ex_date"], event["action_id"], float(event.get("ratio") or 1.0))
            if event["kind"] == "SPLIT" and split not in self._splits.setdefault(symbol, []):
                insort(self._splits[symbol], split)
            return
        day = dt.datetime.fromtimestamp(event["timestamp"] / 1000, NEW_YORK).date()
        self.event_time = max(self.event_time, event["timestamp"])
        if not is_session(day):
            return   # a print on a closed day is no close
        session = day.isoformat()
        closes = self._closes.setdefault(symbol, {})
        if session not in closes:
            insort(self._sessions.setdefault(symbol, []), session)
            self._forget(symbol)
        if session not in closes or event["timestamp"] >= closes[session][0]:
            closes[session] = (event["timestamp"], float(event["price"]))

    def _forget(self, symbol: str) -> None:
        """Keeps the window, and some more for a session that is still open or a late print."""
        sessions = self._sessions[symbol]
        while len(sessions) > self.policy.volatility.vol_window + 5:
            self._closes[symbol].pop(sessions.pop(0), None)

    def _completed(self) -> list[Event]:
        events = []
        for symbol, sessions in self._sessions.items():
            over = [s for s in sessions if s > self._published.get(symbol, "") and self._is_over(s)]
            if over:
                events.append(self._event(symbol, over[-1]))
                self._published[symbol] = over[-1]
        return events

    def _is_over(self, session: str) -> bool:
        day = dt.date.fromisoformat(session)
        last = dt.datetime.fromtimestamp(self.event_time / 1000, NEW_YORK)
        return last.date() > day or last >= session_close(day)

    def _event(self, symbol: str, session: str) -> Event:
        sessions = self._sessions[symbol][: bisect_left(self._sessions[symbol], session) + 1]
        closes = np.array([self._closes[symbol][s][1] for s in sessions])
        splits = [(bisect_left(sessions, ex), ratio) for ex, _, ratio in self._splits.get(symbol, []) if ex <= session]
        found = historical_volatility(closes, self.policy, splits)
        sigma = round(found.sigma, 6)   # the tier is that of the published figure
        self._tiers[symbol] = int(tiers(np.array([sigma]), np.array([self._tiers.get(symbol, 0)]), self.policy.volatility)[0])
        return {
            "symbol": symbol, "volatility_annual": sigma, "observations": found.observations, "quality": found.quality,
            "tier": self._tiers[symbol],
            "as_of": session, "policy_version": self.policy.version,
            "timestamp": int(session_close(dt.date.fromisoformat(session)).timestamp() * 1000),
        }

    def to_state(self) -> dict[str, Any]:
        return {
            "closes": self._closes, "splits": self._splits, "published": self._published, "tiers": self._tiers,
            "event_time": self.event_time,
            "next_offset": {t: {str(p): o for p, o in parts.items()} for t, parts in self.next_offset.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._closes = {s: {d: (int(t), float(p)) for d, (t, p) in rows.items()} for s, rows in state["closes"].items()}
        self._sessions = {s: sorted(rows) for s, rows in self._closes.items()}
        self._splits = {s: [(e, i, r) for e, i, r in rows] for s, rows in state["splits"].items()}
        self._published, self.event_time = dict(state["published"]), state["event_time"]
        self._tiers = dict(state.get("tiers", {}))   # a state saved before tiers were published has none
        self.next_offset = {t: {int(p): o for p, o in parts.items()} for t, parts in state["next_offset"].items()}
