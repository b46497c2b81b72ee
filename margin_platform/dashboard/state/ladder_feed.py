"""What enforcement did, as the page tells it:
open calls and their due times, restrictions, orders, and each one's delivery.

Everything is taken from margin.calls.v1, restrictions.v1, liquidation.orders.v1 and notifications.v1 in topic
order, keyed by the events' own ids, so that an event delivered twice changes nothing. `produced_at` is
Kafka's own time of an event.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from margin_platform.contracts.events.vocabulary import CallAction, RestrictionAction
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import (
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    NOTIFICATIONS,
    RESTRICTIONS,
    Event,
)
from margin_platform.dashboard.state.account_row import RowFlag
from margin_platform.ladder.severity import is_severe
from margin_platform.ladder.state import DecisionKind
from margin_platform.notification.message import SUBJECTS
from margin_platform.policy.policy import current_policy
from margin_platform.policy.sections import LadderPolicy

FEED_KEPT = 1_000  # newest items every page shows
TIMELINE_KEPT = 200  # newest items of one account
_AWAITING_DELIVERY = 20 * FEED_KEPT  # items that a later notice of their delivery finds
ITEM_KINDS = {
    MARGIN_CALLS: "call",
    RESTRICTIONS: "restriction",
    LIQUIDATION_ORDERS: "order",
    NOTIFICATIONS: "notification",
}
_OPENS = {CallAction.MARGIN_CALL, CallAction.AMENDED}
_CLOSES = {CallAction.MET, CallAction.RESCINDED}
_JUDGED = ("deficiency", "requirement", "equity")
_IDS = ("call_id", "order_id", "restriction_id", "event_id", "decision_id")


@dataclass(eq=False)
class Item:
    """One line of the feed and of an account's timeline.

    `changed` is the page's sequence number of its last change.
    """

    number: int
    changed: int
    topic: str
    event: Event
    severe: bool = False  # of a call: what is sold does not wait for its due time
    delivery: dict[str, Event] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        return ITEM_KINDS[self.topic]

    def wire(self) -> dict[str, object]:
        """Return the item for the page: texts are the events' own, shown as text only."""
        get = self.event.get
        return {
            "n": self.number,
            "kind": self.kind,
            "account_id": get("account_id"),
            "action": get("action") or get("status") or self.kind.upper(),
            "text": get("explanation") or get("reason") or get("escalation") or get("subject") or "",
            "reduced": get("decision") == DecisionKind.CALL_RESTATED,
            "deficiency": get("deficiency"),
            "severe": self.severe,
            "excess_after": get("excess_after"),
            "due_at": get("due_at"),
            "timestamp": get("timestamp"),
            "produced_at": get("produced_at"),
            "run_id": get("run_id"),
            "call_id": get("call_id"),
            "order_id": get("order_id"),
            "positions": get("positions") or [],
            "channel": get("channel"),
            "notifies": (self.topic, str(get("action", "NEW"))) in SUBJECTS,
            "delivery": [_delivered(e) for e in self.delivery.values()],
        }


def _delivered(event: Event) -> dict[str, object]:
    return {
        name: event.get(name) for name in ("channel", "status", "attempt", "attempts", "timestamp", "error")
    }


class LadderLog:
    """Calls, restrictions, orders and notifications so far.

    `apply` returns the accounts whose flags may have changed.
    """

    def __init__(self, rules: LadderPolicy | None = None) -> None:
        self._rules = current_policy().ladder if rules is None else rules
        self.feed: deque[Item] = deque(maxlen=FEED_KEPT)
        self.timelines: dict[str, deque[Item]] = {}
        self.open_calls: dict[str, Event] = {}
        # of the open calls that have one: epoch milliseconds, account, as said
        self._due: dict[str, tuple[float, str, object]] = {}
        self.restricted: set[str] = set()
        self.liquidating: set[str] = set()
        self._by_id: OrderedDict[str, Item] = OrderedDict()
        # notices read before what they tell of: topics have no order
        self._early: OrderedDict[str, dict[str, Event]] = OrderedDict()
        self._numbers = 0

    def apply(self, topic: str, event: Event, sequence: int) -> str:
        """Take in one event; return the account it concerns."""
        account: str = event["account_id"]
        kind = ITEM_KINDS[topic]
        if kind == "notification":
            self._deliver(event, sequence)
        identity = _identity(kind, event)
        if identity in self._by_id:
            known = self._by_id[identity]
            known.event, known.changed, known.severe = event, sequence, self._is_severe(topic, event)
        else:
            self._append(identity, topic, account, event, sequence)
        self._follow(kind, account, event)
        return account

    def _append(self, identity: str, topic: str, account: str, event: Event, sequence: int) -> None:
        self._numbers += 1
        item = Item(self._numbers, sequence, topic, event, self._is_severe(topic, event))
        self.feed.append(item)
        self.timelines.setdefault(account, deque(maxlen=TIMELINE_KEPT)).append(item)
        self._by_id[identity] = item
        for subject in _subjects(topic, event):
            self._by_id[subject] = item
            item.delivery |= self._early.pop(subject, {})
        while len(self._by_id) > _AWAITING_DELIVERY:
            self._by_id.popitem(last=False)

    def _is_severe(self, topic: str, event: Event) -> bool:
        deficiency, requirement, equity = (event.get(name) for name in _JUDGED)
        if topic != MARGIN_CALLS or event["action"] not in _OPENS:
            return False
        if deficiency is None or requirement is None or equity is None:
            return False
        return is_severe(deficiency, requirement, equity, self._rules)

    def _deliver(self, notice: Event, sequence: int) -> None:
        """Show a notice's state beside the step it refers to, now or as soon as that is read."""
        wanted = _subjects_of_notice(notice)
        parent = next((found for subject in wanted if (found := self._by_id.get(subject)) is not None), None)
        if parent is not None:
            parent.delivery[_way(notice)], parent.changed = notice, sequence
        elif wanted:
            self._early.setdefault(wanted[0], {})[_way(notice)] = notice
            while len(self._early) > FEED_KEPT:
                self._early.popitem(last=False)

    def _follow(self, kind: str, account: str, event: Event) -> None:
        action = event.get("action")
        if kind == "call":
            if action in _OPENS:
                known = self.open_calls.get(account, {})
                # an increase leaves the due time as it is
                expired = "expired" in known and known.get("call_id") == event.get("call_id")
                self.open_calls[account] = {**event, "expired": True} if expired else event
                self._note_due(account, None if expired else event.get("due_at"))
            elif action == CallAction.EXPIRED and account in self.open_calls:
                self.open_calls[account] = {**self.open_calls[account], "expired": True}
                self._note_due(account, None)
            elif action in _CLOSES:
                self.open_calls.pop(account, None)
                self._note_due(account, None)
                self.liquidating.discard(account)
            if action == CallAction.LIQUIDATE:
                self.liquidating.add(account)
            elif action == CallAction.RECOVERED:
                self.liquidating.discard(account)
        elif kind == "restriction":
            (self.restricted.add if action == RestrictionAction.CLOSE_ONLY else self.restricted.discard)(
                account
            )

    def _note_due(self, account: str, due_at: object) -> None:
        self._due.pop(account, None)
        if (moment := instant(due_at)) is not None:
            self._due[account] = (moment, account, due_at)

    def flags(self, account: str) -> int:
        """Return the CALL_OPEN, PAST_DUE, CLOSE_ONLY and LIQUIDATING bits of an account."""
        call = self.open_calls.get(account)
        return (
            (RowFlag.CALL_OPEN if call is not None else 0)
            | (RowFlag.PAST_DUE if call is not None and "expired" in call else 0)
            | (RowFlag.CLOSE_ONLY if account in self.restricted else 0)
            | (RowFlag.LIQUIDATING if account in self.liquidating else 0)
        )

    def next_due(self, clock: int | None) -> dict[str, object] | None:
        """Return the open call that falls due first after an event time: {account_id, due_at};
        None where none does.
        """
        ahead = [due for due in self._due.values() if clock is None or due[0] > clock]
        if not ahead:
            return None
        _, account, text = min(ahead)
        return {"account_id": account, "due_at": text}

    def past_due(self, clock: int | None) -> int:
        """Return how many open calls were not met in time:
        those enforcement has found, and those it has yet to find.
        """
        found = sum("expired" in call for call in self.open_calls.values())
        return found + sum(clock is not None and moment <= clock for moment, _, _ in self._due.values())

    def changed_since(self, sequence: int) -> list[Json]:
        """Return feed items new or changed after a sequence number, oldest first."""
        return [item.wire() for item in self.feed if item.changed > sequence]


def _way(notice: Event) -> str:
    return str(notice.get("channel") or notice.get("notification_id") or "notification")


def _subjects(topic: str, event: Event) -> list[str]:
    """List the names under which a notice may refer to a step of the ladder, the exact one first."""
    if ITEM_KINDS[topic] == "notification":
        return []
    exact = f"rung:{topic}:{event.get('action', 'NEW')}:{event.get('correlation_id')}"
    return [exact, *(f"subject:{event[name]}" for name in ("correlation_id", *_IDS) if event.get(name))]


def _subjects_of_notice(notice: Event) -> list[str]:
    """List what a notice refers to: the step its rung names (topic:action:...), else the most exact id it
    carries.
    """
    if notice.get("rung"):
        step = ":".join(str(notice["rung"]).split(":")[:2])
        return [f"rung:{step}:{notice.get('correlation_id')}"]
    return [
        f"subject:{notice[name]}"
        for name in ("subject_id", "causation_id", *_IDS, "correlation_id")
        if notice.get(name)
    ]


def _identity(kind: str, event: Event) -> str:
    """Return the same id for an event delivered twice; the causation distinguishes the steps of a call."""
    steps = [
        event.get(name)
        for name in (
            "notification_id",
            *_IDS,
            "action",
            "channel",
            "causation_id",
            "correlation_id",
            "timestamp",
        )
    ]
    return f"{kind}:" + "\x1f".join("" if s is None else str(s) for s in steps) + f"\x1f{event['account_id']}"


def instant(due_at: Any) -> float | None:
    """Return epoch milliseconds of a due time, given as ISO text with a zone or as epoch milliseconds; None
    where it is neither.
    """
    if isinstance(due_at, bool) or due_at is None:
        return None
    if isinstance(due_at, int | float):
        return float(due_at)
    try:
        moment = dt.datetime.fromisoformat(due_at)
    except (TypeError, ValueError):
        return None
    return moment.timestamp() * 1000 if moment.tzinfo is not None else None
