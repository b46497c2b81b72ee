"""Amounts of an event in the ledger's unit, refused by field where they are more than it holds."""

from __future__ import annotations

from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.ledger.micros import MICRO, MOST, to_micros
from margin_platform.money import cents


def micros_of(event: Event, field: str, amount: float) -> int:
    """Return an amount of an event in millionths.

    BadEvent names the field and its value where it is more than a ledger holds.
    """
    try:
        return to_micros(amount)
    except OverflowError:
        raise BadEvent(field, event[field], "more than a ledger holds") from None


def money_of(event: Event, field: str, amount: float) -> int:
    """Return dollars of an event, rounded to whole cents, in millionths."""
    return micros_of(event, field, cents(amount))


def net_money(event: Event) -> int:
    """Return what a fill costs, in millionths:
    quantity times price and the fee, whole cents as on a confirmation.
    """
    fee = event.get("fee") or 0.0
    micros_of(event, "fee", fee)
    return money_of(event, "price", event["qty"] * event["price"] + fee)


def within(event: Event, field: str, sum_of: int) -> int:
    """Return a running sum in millionths, unless it is more than a ledger holds: then BadEvent names the
    field that led there.
    """
    if abs(sum_of) > MOST * MICRO:
        raise BadEvent(field, event[field], "more than a ledger holds")
    return sum_of
