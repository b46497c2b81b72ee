"""Fills and cash of accounts nobody announced: they wait, within bounds, and none goes without a word."""

from __future__ import annotations

from margin_platform.contracts.messages import CASH, encode
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.awaiting_account import EarlyEvents

PRODUCED = 1_790_000_000_000


def _keep(early: EarlyEvents, account: str, offset: int) -> None:
    event = {"transfer_id": account, "account_id": account, "amount": 1.0, "timestamp": PRODUCED}
    early.keep(Record(CASH, 0, offset, account, encode(event), PRODUCED), event)


def test_an_event_is_reported_once_it_has_waited_too_long_and_only_once() -> None:
    early = EarlyEvents()
    _keep(early, "A", 7)
    assert early.overdue(PRODUCED - 1) == []
    assert [(letter["offset"], letter["value"]) for letter in early.overdue(PRODUCED)] == [(7, "A")]
    assert early.overdue(PRODUCED) == []


def test_what_is_forgotten_for_want_of_room_is_reported_although_its_time_has_not_come() -> None:
    """Of 1,003 unknown accounts the three oldest are forgotten:
    their dead letters are all that is left of them.
    """
    early = EarlyEvents()
    for n in range(1003):
        _keep(early, f"A{n}", n)
    assert [letter["offset"] for letter in early.overdue(PRODUCED - 1)] == [0, 1, 2]
    assert len(early.to_state()) == 1000
    assert [letter["offset"] for letter in early.overdue(PRODUCED)] == list(range(3, 1003))
