"""The states of a notice, as in the store and on notifications.v1."""

from __future__ import annotations

from enum import StrEnum


class NoticeState(StrEnum):
    """Where a notice is between its record and its recipient (see `delivery`)."""

    PENDING = "PENDING"
    SENDING = "SENDING"
    DELIVERED = "DELIVERED"
    HELD = "HELD"
    UNDELIVERED = "UNDELIVERED"
    REACHED = "REACHED"
