"""Fills and cash of unannounced accounts: they wait, within bounds, and none goes without a word."""

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


def test_what_waits_is_bounded_in_bytes_as_well_and_nothing_is_forgotten_without_its_letter() -> None:
    """1,000 fills of 200 kB took half a gigabyte: 64 of them are as much as may wait."""
    early = EarlyEvents()
    for n in range(200):
        event = {
            "transfer_id": f"T{n}",
            "account_id": f"A{n}",
            "amount": 1.0,
            "timestamp": PRODUCED,
            "note": "x" * 200_000,
        }
        early.keep(Record(CASH, 0, n, f"A{n}", encode(event), PRODUCED), event)
    forgotten = early.overdue(PRODUCED - 1)
    kept = early.to_state()
    assert sum(len(encode(row["event"])) for rows in kept.values() for row in rows) < 10_000_000
    assert [letter["offset"] for letter in forgotten] == list(range(200 - len(kept)))
    assert list(kept) == [f"A{n}" for n in range(200 - len(kept), 200)]
    again = EarlyEvents()
    again.restore(kept)
    assert again.overdue(PRODUCED - 1) == []
    assert len(again.overdue(PRODUCED)) == len(kept)


def test_a_state_of_before_that_names_no_sizes_is_taken() -> None:
    early = EarlyEvents()
    _keep(early, "A", 7)
    kept = early.to_state()
    del kept["A"][0]["bytes"]
    again = EarlyEvents()
    again.restore(kept)
    assert [letter["offset"] for letter in again.overdue(PRODUCED)] == [7]
