"""One announcement of a corporate action: its place on the topic, its status, its terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from margin_platform.contracts.action_terms import ActionKind, ActionStatus
from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.trading_time.new_york import date_of

_UNITS = (100.0, 0.01)  # a feed of cents, or one that divides what is in dollars already
_UNIT_TOLERANCE = 0.01
_PER_SHARE = (ActionKind.DIVIDEND, ActionKind.SPLIT)


class Place(TypedDict):
    """Where an announcement stood, and its text."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    raw: str


def place_of(record: Record) -> Place:
    """Return where a record stands, for the dead letter of an action that cannot be booked when its day
    comes.
    """
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "raw": (record.value or b"").decode(errors="replace"),
    }


def status_of(event: Event) -> str:
    """Return ANNOUNCED or CANCELLED."""
    return str(event.get("status") or ActionStatus.ANNOUNCED)


def terms_of(event: Event) -> tuple[object, ...]:
    """Return what two announcements of one action must agree on."""
    return CorporateAction.of(event).terms()


def another_unit(event: Event, active: Iterable[Event]) -> str | None:
    """Return the dividend before one, in words, where the two are apart by a hundred: cents for dollars.

    active: the announcements of the symbol. None where a second source announces the same, where the shares
    changed between the two, or where no dividend came before.
    """
    if event["kind"] != ActionKind.DIVIDEND:
        return None
    source = event.get("source")
    others = [other for other in active if other["action_id"] != event["action_id"]]
    same = (other for other in others if terms_of(other) == terms_of(event))
    if any(source is None or other.get("source") != source for other in same):
        return None
    before = max(
        (other for other in others if other["ex_date"] < event["ex_date"] and other["kind"] in _PER_SHARE),
        key=lambda other: (other["ex_date"], other["kind"] == ActionKind.SPLIT),
        default=None,
    )
    if before is None or before["kind"] == ActionKind.SPLIT:
        return None
    times = event["amount"] / before["amount"]
    if not any(abs(times / unit - 1.0) <= _UNIT_TOLERANCE for unit in _UNITS):
        return None
    return f"{before['amount']} on {before['ex_date']}"


def announcement_of(action: CorporateAction) -> Event:
    """Return the event of an action that an older version booked and did not keep:
    any announcement since is newer.
    """
    day = date_of(action.effective)
    event: Event = {
        "action_id": action.action_id,
        "symbol": action.symbol,
        "kind": action.kind,
        "ex_date": day.isoformat(),
        "timestamp": 0,
    }
    if action.kind == ActionKind.SPLIT:
        event |= {"ratio_new": action.ratio.numerator, "ratio_old": action.ratio.denominator}
    else:
        event["amount"] = action.amount
    return event | ({} if action.post_price is None else {"post_price": action.post_price})
