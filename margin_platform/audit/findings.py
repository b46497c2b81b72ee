"""Findings: what verification names, each with its account, its kind and the entry it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

NO_ACCOUNT = "?"  # of a row that cannot be read


class Kind(StrEnum):
    """What was done to the records."""

    ENTRY_CHANGED = "ENTRY_CHANGED"
    ENTRY_MISSING = "ENTRY_MISSING"
    CHAIN_CUT = "CHAIN_CUT"
    CHAIN_REWRITTEN = "CHAIN_REWRITTEN"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    ACCOUNT_SWAPPED = "ACCOUNT_SWAPPED"
    TIME_CHANGED = "TIME_CHANGED"
    CALL_CHANGED = "CALL_CHANGED"
    CALL_DELETED = "CALL_DELETED"
    CALL_UNRECORDED = "CALL_UNRECORDED"
    CALL_FORGOTTEN = "CALL_FORGOTTEN"
    EVIDENCE_CHANGED = "EVIDENCE_CHANGED"
    ORDER_CHANGED = "ORDER_CHANGED"
    ORDER_DELETED = "ORDER_DELETED"
    ORDER_UNRECORDED = "ORDER_UNRECORDED"
    RESTRICTION_CHANGED = "RESTRICTION_CHANGED"
    STANDING_CHANGED = "STANDING_CHANGED"
    HOLD_CHANGED = "HOLD_CHANGED"
    ACT_MISSING = "ACT_MISSING"
    ACT_CHANGED = "ACT_CHANGED"
    ANCHOR_CHANGED = "ANCHOR_CHANGED"
    ANCHOR_MISSING = "ANCHOR_MISSING"
    ANCHOR_UNSIGNED = "ANCHOR_UNSIGNED"
    UNPUBLISHED = "UNPUBLISHED"
    UNREADABLE = "UNREADABLE"  # a record does not have the form of one
    FOREIGN = "FOREIGN"  # a copy holds what the platform did not write


class Finding(NamedTuple):
    """One place that does not hold.

    number: of the entry, or of the anchor; 0 where it is about the whole chain.
    """

    account_id: str
    kind: Kind
    number: int
    reason: str


# What reading a record of any other form raises. A forger gives a row any form, and one row hides no other.
MISSHAPEN = (KeyError, TypeError, AttributeError, ValueError, IndexError, ArithmeticError, OSError)


def guarded(account_id: str, number: int, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """Yield what a check of some records finds, or that they cannot be read."""
    try:
        yield from list(check())
    except MISSHAPEN as error:
        reason = f"it does not have the form of a record ({type(error).__name__})"
        yield Finding(account_id, Kind.UNREADABLE, number, reason)
