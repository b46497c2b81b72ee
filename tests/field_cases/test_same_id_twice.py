"""The same id twice: an event delivered again, another event, another fill of the same figures elsewhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, BadEvent
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.ledger import Ledger
from tests.support.recorded import Replay

T = 1_704_816_000_000
FILL = {"fill_id": "f", "account_id": "A", "symbol": "AAA", "qty": 100, "price": 100, "timestamp": T}
PAID = {"transfer_id": "c", "account_id": "A", "amount": 5000, "timestamp": T}
ELSEWHERE = "id of an earlier fill of another venue or order: not booked; send it under an id of its own"


@pytest.mark.parametrize(
    "changed",
    [
        {"qty": 101},
        {"qty": -100},
        {"price": 101},
        {"account_id": "B"},
        {"symbol": "BBB"},
        {"fee": 1},
        {"timestamp": T + 1},
        {"qty": 100.000001},
        {"price": 100.0001},
        {"fee": -0.01},
        {"qty": -100, "price": 101, "fee": 1},
        {"account_id": "B", "symbol": "BBB"},
    ],
)
def test_another_fill_under_a_known_id_is_told_from_one_delivered_twice(changed: dict[str, Any]) -> None:
    replay = Replay("AAA", "BBB")
    for account in ("A", "B"):
        replay.take(
            {"topic": "accounts.v1", "event": {"account_id": account, "margin_type": "REG_T", "timestamp": T}}
        )
    replay.take({"topic": FILLS, "event": FILL})
    replay.take({"topic": FILLS, "event": FILL | {"qty": 100.0}})
    replay.take({"topic": FILLS, "event": FILL | changed})
    assert [letter["reason"] for letter in replay.dead] == [
        "duplicate id",
        "id of an earlier event that says something else: not booked",
    ]
    assert json.loads(replay.dead[1]["raw"]) == FILL | changed
    assert replay.engine.ledger.positions("A") == {"AAA": 100.0}


def test_what_an_id_stood_for_is_known_after_a_restart() -> None:
    replay = Replay("AAA")
    replay.take(
        {"topic": "accounts.v1", "event": {"account_id": "A", "margin_type": "REG_T", "timestamp": T}}
    )
    replay.take({"topic": CASH, "event": PAID})
    ledger = replay.engine.ledger
    restored = type(ledger).from_state(ledger.to_state(), ["AAA"], require_account=True)
    assert restored.apply(CASH, PAID) == []
    with pytest.raises(BadEvent, match="something else"):
        restored.apply(CASH, PAID | {"amount": 6000})


VENUES: list[tuple[dict[str, Any], dict[str, Any]]] = [  # of two fills that are alike in all else
    ({"venue": "XNAS"}, {"venue": "ARCX"}),
    ({"venue": "XNAS"}, {"venue": "xnas"}),
    ({"venue": "XNAS"}, {}),
    ({}, {"venue": "XNAS"}),
    ({"order_id": "1"}, {"order_id": "2"}),
    ({"order_id": "1"}, {}),
    ({}, {"order_id": "1"}),
    ({"venue": "XNAS", "order_id": "1"}, {"venue": "XNAS", "order_id": "2"}),
    ({"venue": "XNAS", "order_id": "1"}, {"venue": "ARCX", "order_id": "1"}),
    ({"venue": "1"}, {"order_id": "1"}),
]


@pytest.mark.parametrize(("first", "second"), VENUES)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_fill_of_another_venue_or_order_is_not_one_delivered_twice(
    first: dict[str, Any], second: dict[str, Any], *, restarted: bool
) -> None:
    """Execution ids are unique per venue and side: an equal one of another venue is another execution."""
    ledger = Ledger(["AAA"])
    assert ledger.apply(FILLS, FILL | first) == ["A"]
    if restarted:
        ledger = Ledger.from_state(ledger.to_state(), ["AAA"])
    assert ledger.apply(FILLS, FILL | first) == []  # the same one, delivered twice
    assert ledger.apply(FILLS, FILL | {"venue": None, "order_id": None, "fee": None} | first) == []
    with pytest.raises(BadEvent) as refused:
        ledger.apply(FILLS, FILL | second)
    assert (refused.value.field, refused.value.value, refused.value.reason) == ("fill_id", "f", ELSEWHERE)
    assert ledger.positions("A") == {"AAA": 100.0}


def test_it_is_a_dead_letter_with_the_whole_message() -> None:
    replay = Replay("AAA")
    terms = {"account_id": "A", "margin_type": "REG_T", "timestamp": T}
    replay.take({"topic": ACCOUNTS, "event": terms})
    for venue in ("XNAS", "XNAS", "ARCX"):
        replay.take({"topic": FILLS, "event": FILL | {"venue": venue}})
    assert [letter["reason"] for letter in replay.dead] == ["duplicate id", ELSEWHERE]
    assert json.loads(replay.dead[1]["raw"])["venue"] == "ARCX"


@pytest.mark.parametrize("stored", [292_785_541, -1])
@pytest.mark.parametrize("elsewhere", [{}, {"venue": "XNAS"}, {"order_id": "1"}])
def test_an_id_stored_without_venue_and_order_is_compared_as_far_as_it_goes(
    stored: int, elsewhere: dict[str, Any]
) -> None:
    """A state of before has the digest of the figures alone, one of before that none."""
    ledger = Ledger(["AAA"])
    ledger.apply(FILLS, FILL)
    state = ledger.to_state() | {"seen_content": np.array([stored], dtype=np.int64)}
    restored = Ledger.from_state(state, ["AAA"])
    assert restored.apply(FILLS, FILL | elsewhere) == []
    if stored >= 0:
        with pytest.raises(BadEvent, match="says something else"):
            restored.apply(FILLS, FILL | {"qty": 101} | elsewhere)
    assert np.array_equal(restored.to_state()["seen_content"], [stored])  # type: ignore[arg-type]


def test_both_parts_of_a_content_fit_a_column_of_64_bits() -> None:
    """The part of venue and order is never zero: zero is a state of before."""
    for n in range(200):
        content = KnownIds.content_of_fill(FILL | {"venue": str(n), "qty": n + 1})
        assert 0 < content >> 32 < 1 << 31
