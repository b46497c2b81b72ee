"""Amounts of an event in the ledger's unit, refused by field where they are more than it holds."""

from __future__ import annotations

from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.ledger.micros import MICRO, MOST, to_micros


def micros_of(event: Event, field: str, amount: float) -> int:
    """An amount of an event in millionths. BadEvent names the field and its value where it is more than a ledger holds."""
    try:
        return to_micros(amount)
    except OverflowError:
        raise BadEvent(field, event[field], "more than a ledger holds") from None


def within(event: Event, field: str, sum_of: int) -> int:
    """A running sum in millionths, unless it is more than a ledger holds: then BadEvent names the field that led there."""
    if abs(sum_of) > MOST * MICRO:
        raise BadEvent(field, event[field], "more than a ledger holds")
    return sum_of
