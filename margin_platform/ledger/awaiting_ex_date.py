"""Announced actions: the newest terms of every corporate action, and which are in effect at an event time.

A split is announced weeks ahead, amended, cancelled, moved to another day and announced by a second source.
The engines, the backtest and the venue all ask here. Pure: an action is in effect from midnight in New York
of its ex-date on the event clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from margin_platform.contracts.action_terms import RESHAPES, ActionKind, ActionStatus
from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.ledger.announcements import Place, announcement_of, another_unit, status_of, terms_of
from margin_platform.ledger.corporate_actions import CorporateAction, effective_time

_NEVER = 1 << 62


class AnnouncedActions:
    """Every action by id with its newest terms.

    `add` takes announcements, `due` lists symbols whose actions changed. Durable through `to_state`.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Event, Place | None]] = {}
        self._of: dict[str, list[str]] = {}  # symbol -> ids, in order of arrival
        self._disputed: set[str] = set()  # ids announced with two terms, neither of them newer
        self._reported: dict[str, list[CorporateAction]] = {}
        self._doubts: dict[str, str | None] = {}
        self._changed: set[str] = set()  # symbols whose announcements changed since `due`
        self._next = _NEVER  # the next day on which something takes effect

    # -- announcements in

    def add(self, action: Event, place: Place | None = None) -> None:
        """Take an announcement: a new action, newer terms of a known one, or its cancellation.

        Older terms change nothing.

        BadEvent where it contradicts another announcement. Then holders of the symbol are held from the
        ex-date on.
        """
        identity = action["action_id"]
        known = self._known.get(identity)
        if known is not None:
            if not self._is_newer(action, known[0]):
                return
            if known[0]["symbol"] != action["symbol"]:
                raise BadEvent(
                    "symbol", action["symbol"], f"the action {identity} is of {known[0]['symbol']}"
                )
        self._known[identity] = action, place
        self._disputed.discard(identity)
        if known is None:
            self._of.setdefault(action["symbol"], []).append(identity)
        self._changed.add(action["symbol"])
        twin = next((other for other in self._twins(action) if terms_of(other) != terms_of(action)), None)
        if twin is not None:
            reason = (
                f"contradicts {twin['action_id']}, the same {action['kind']} of {action['symbol']} on "
                f"{action['ex_date']}"
            )
            raise BadEvent("action_id", identity, reason)

    def _is_newer(self, action: Event, known: Event) -> bool:
        """Report whether an announcement replaces the one known of its id: by version where both have one,
        else by timestamp.
        """
        mine, other = ([e.get("version"), e["timestamp"]] for e in (action, known))
        by = 0 if mine[0] is not None and other[0] is not None else 1
        same = status_of(action) == status_of(known) and (
            status_of(action) == ActionStatus.CANCELLED or terms_of(action) == terms_of(known)
        )
        if mine[by] == other[by] and not same:
            self._disputed.add(known["action_id"])
            self._changed.add(known["symbol"])
            raise BadEvent(
                "action_id",
                action["action_id"],
                "other terms of the same action, with neither a later version nor timestamp",
            )
        return bool(mine[by] > other[by])

    def _twins(self, action: Event) -> list[Event]:
        """Return other announcements of the same action: symbol, kind and ex-date.

        One source does not announce one action twice.
        """
        if status_of(action) == ActionStatus.CANCELLED:
            return []
        source = action.get("source")
        return [
            other
            for other in self._active(action["symbol"])
            if other["action_id"] != action["action_id"]
            and (other["kind"], other["ex_date"]) == (action["kind"], action["ex_date"])
            and (source is None or other.get("source") != source)
        ]

    def _active(self, symbol: str) -> list[Event]:
        """Return a symbol's actions that are not cancelled, the first announced first."""
        found = [self._known[identity][0] for identity in self._of.get(symbol, ())]
        return sorted(
            (e for e in found if status_of(e) != ActionStatus.CANCELLED),
            key=lambda e: (e["timestamp"], e["action_id"]),
        )

    # -- what holds

    def actions(self, symbol: str, until: int = _NEVER) -> list[CorporateAction]:
        """Return a symbol's actions in effect at an event time (default: all announced), each once,
        in the order they are booked.

        Of two announcements of one action the first counts.
        """
        counted: list[Event] = []
        for event in self._active(symbol):
            if effective_time(event) <= until and not any(other in counted for other in self._twins(event)):
                counted.append(event)
        return sorted((CorporateAction.of(event) for event in counted), key=CorporateAction.order)

    def splits(self, symbol: str) -> list[CorporateAction]:
        """Return the symbol's splits, announced or in effect."""
        return [action for action in self.actions(symbol) if action.kind == ActionKind.SPLIT]

    def symbols(self) -> list[str]:
        """Return every symbol with an announcement."""
        return list(self._of)

    def next_reshaping(self, symbol: str, now: int) -> int | None:
        """Return when the next announced action takes effect that changes what a share is;
        None where none is announced.
        """
        return min(
            (a.effective for a in self.actions(symbol) if a.kind in RESHAPES and a.effective > now),
            default=None,
        )

    def reshaped_since(self, symbol: str, made: int, now: int) -> bool:
        """Report whether what a share is has changed since an event time, by an action's day or by the news
        of it.
        """
        known = {
            event["action_id"]: event["timestamp"]
            for event, _ in self._known.values()
            if event["symbol"] == symbol
        }
        return any(
            made < max(a.effective, known[a.action_id]) <= now
            for a in self.actions(symbol, now)
            if a.kind in RESHAPES
        )

    def contested(self, symbol: str, now: int) -> str | None:
        """Return why a symbol's holdings are in doubt at an event time, or None."""
        for event in self._active(symbol):
            if effective_time(event) > now:
                continue
            name = f"{event['kind']} of {symbol} on {event['ex_date']}"
            if event["action_id"] in self._disputed:
                return f"{name}: announced as {event['action_id']} with two terms"
            if other := next(
                (twin for twin in self._twins(event) if terms_of(twin) != terms_of(event)), None
            ):
                return f"{name}: {event['action_id']} and {other['action_id']} contradict each other"
            if former := another_unit(event, self._active(symbol)):
                return f"{name}: {event['amount']} a share after {former}, as in another unit"
        return None

    def due(self, now: int) -> list[str]:
        """Return, once, the symbols whose actions in effect at an event time differ from those returned
        for before.
        """
        if now < self._next and not self._changed:
            return []
        asked = self._of if now >= self._next else self._changed
        found = []
        for symbol in sorted(asked):
            actions, doubt = self.actions(symbol, now), self.contested(symbol, now)
            if actions != self._reported.get(symbol, []) or doubt != self._doubts.get(symbol):
                found.append(symbol)
                self._reported[symbol], self._doubts[symbol] = actions, doubt
        self._changed.clear()
        self._next = min(
            (at for e, _ in self._known.values() if (at := effective_time(e)) > now), default=_NEVER
        )
        return found

    def next_day(self) -> int:
        """Return the next event time at which `due` has a result, as far as it is known."""
        return self._next if not self._changed else 0

    def in_effect(self, symbol: str) -> list[CorporateAction]:
        """Return the actions as last returned for by `due`."""
        return self._reported.get(symbol, [])

    def refuse(self, symbol: str, error: BadEvent, now: int) -> list[Event]:
        """Drop the newest action in effect, which cannot be booked; return its dead letter."""
        newest = max(self.in_effect(symbol), key=lambda a: self._known[a.action_id][0]["timestamp"])
        _, place = self._known.pop(newest.action_id)
        self._of[symbol].remove(newest.action_id)
        self._reported[symbol] = self.actions(symbol, now)
        if not place:
            return []
        return [
            dead_letter(
                place["topic"],
                place["partition"],
                place["offset"],
                place["raw"].encode(),
                error,
                place["timestamp"],
            )
        ]

    # -- durable state

    def to_state(self) -> dict[str, object]:
        """Return the state, JSON-able."""
        return {
            "known": [[event, place or {}] for event, place in self._known.values()],
            "disputed": sorted(self._disputed),
            "doubts": self._doubts,
            "told": {
                symbol: [action.row() for action in actions] for symbol, actions in self._reported.items()
            },
        }

    def restore(self, state: Any, booked: Iterable[CorporateAction] = ()) -> None:
        """Continue from a saved state.

        A state of before 0.2 is the list of those that wait; the others were booked in the ledger.
        """
        if isinstance(state, list):
            saved: dict[str, list[CorporateAction]] = {}
            for action in booked:
                saved.setdefault(action.symbol, []).append(action)
            known = [[announcement_of(action), {}] for actions in saved.values() for action in actions]
            self.restore(
                {
                    "known": known + [[e, p] for e, p in state],
                    "disputed": [],
                    "told": {
                        symbol: [action.row() for action in sorted(actions, key=CorporateAction.order)]
                        for symbol, actions in saved.items()
                    },
                }
            )
            return
        self._known = {event["action_id"]: (event, place or None) for event, place in state["known"]}
        self._of = {}
        for event, _ in self._known.values():
            self._of.setdefault(event["symbol"], []).append(event["action_id"])
        self._disputed, self._doubts = set(state["disputed"]), dict(state.get("doubts", {}))
        self._reported = {
            symbol: [CorporateAction.of_row(row, symbol) for row in rows]
            for symbol, rows in state["told"].items()
        }
        self._changed, self._next = set(self._of), _NEVER
