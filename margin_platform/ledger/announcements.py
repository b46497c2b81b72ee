"""One announcement of a corporate action: its place on the topic, its status, its terms."""

from __future__ import annotations

from typing import TypedDict

from margin_platform.contracts.action_terms import ActionKind, ActionStatus
from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.trading_time.new_york import date_of


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
