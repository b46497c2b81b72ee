"""The states of a notification: which still wait, and the event that reports it.

PENDING until it is due, SENDING while one sender has it, DELIVERED with a receipt, HELD until its recipient
has an address, UNDELIVERED after the last attempt, REACHED by a person, SUPERSEDED where a later notice of
the same call went out before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, case, func, select

from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.policy.sections import NoticePolicy
from margin_platform.store.store import Store
from margin_platform.store.tables import notifications

MS_PER_MINUTE = 60_000
_FIRST_ATTEMPT_GRACE_MS = 30_000


class NoticeState(StrEnum):
    """Where a notice is between its record and its recipient, in the store and on notifications.v1."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    HELD = "HELD"
    UNDELIVERED = "UNDELIVERED"
    REACHED = "REACHED"
    SUPERSEDED = "SUPERSEDED"


_ATTEMPT = notifications.c.next_attempt_wall + case(
    (notifications.c.attempts == 0, _FIRST_ATTEMPT_GRACE_MS), else_=0
)
# built once: it is asked every few seconds
_NEXT_ATTEMPT = select(func.min(_ATTEMPT)).where(
    notifications.c.status.in_((NoticeState.PENDING, NoticeState.SENDING))
)


def unexpired(now: int, rules: NoticePolicy, column: Any = notifications.c) -> ColumnElement[bool]:
    """Select notices that reached their recipient, need not, or still may within the policy's minutes.

    column: of the table or an alias.
    """
    since = now - int(rules.notice_alarm_minutes * MS_PER_MINUTE)
    waits = column.status.in_((NoticeState.PENDING, NoticeState.SENDING)) & (
        column.recorded_wall.is_(None) | (column.recorded_wall > since)
    )
    ended = (NoticeState.DELIVERED, NoticeState.REACHED, NoticeState.SUPERSEDED)
    found: ColumnElement[bool] = column.status.in_(ended) | waits
    return found


def next_due(store: Store) -> int | None:
    """Return when the next attempt of any notification is due (wall clock), None where none waits.

    A first attempt is its own run's to make; one not made half a minute later was lost with its run, and is
    due here.
    """
    with store.read() as connection:
        return connection.execute(_NEXT_ATTEMPT).scalar()


def outcome(row: Mapping[str, object]) -> Event:
    """Build the notifications.v1 event of a notification's state.

    An undelivered one asks the margin desk to call the customer.
    """
    event = {
        "event_id": deterministic_id(row["notification_id"], row["status"], row["attempts"]),
        "notification_id": row["notification_id"],
        "account_id": row["account_id"],
        "episode": row["episode"],
        "correlation_id": row["episode"],
        "rung": row["rung"],
        "channel": row["channel"],
        "status": row["status"],
        "attempts": row["attempts"],
        "receipt": row["receipt"],
        "error": row["error"],
        "subject": row["subject"],
        "run_id": row["run_id"],
        "timestamp": row["created_at"],
    }
    if row["status"] in (NoticeState.UNDELIVERED, NoticeState.HELD):
        event["escalation"] = f"reach the customer by other means: {row['error']}"
    return event
