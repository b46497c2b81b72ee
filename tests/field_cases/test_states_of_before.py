"""A state saved before actions could be amended is continued from:
what was booked stays booked, what waits still waits.
"""

from __future__ import annotations

from typing import Any

from margin_platform.snapshots.engine import MarginEngine
from margin_platform.volatility.engine import VolatilityEngine
from tests.support.amended_actions import MONDAY, at, opening, printed, said, split
from tests.support.engine_feed import POLICY, Feed, through_bytes
from tests.support.field_cases import fed, stands


def of_before(state: dict[str, Any]) -> dict[str, Any]:
    """The state in the form of the version before: waiting actions as a list, booked ones as five columns."""
    booked = {row[1] for rows in state["ledger"]["actions"].values() for row in rows}
    waiting = [row for row in state["announced"]["known"] if row[0]["action_id"] not in booked]
    actions = {
        symbol: [
            [row[0], row[1], row[3], row[4][0] / row[4][1] if row[3] == "SPLIT" else row[5], row[6]]
            for row in rows
        ]
        for symbol, rows in state["ledger"]["actions"].items()
    }
    ledger = {name: value for name, value in state["ledger"].items() if name != "worked"} | {
        "actions": actions
    }
    gate = {name: value for name, value in state["market"]["gate"].items() if name != "contested"} | {
        "booked": sorted(booked)
    }
    return state | {"announced": waiting, "ledger": ledger, "market": state["market"] | {"gate": gate}}


def continued(feed: Feed) -> Feed:
    saved = of_before(through_bytes(feed.engine.to_state()))
    feed.engine = MarginEngine(feed.instruments, POLICY)
    feed.engine.restore(saved)
    return feed


def test_booked_and_waiting_actions_of_an_older_state_go_on_and_can_be_amended() -> None:
    later = said("later", "DIVIDEND", at(4, 9), amount=1.0, ex_date="2024-06-17")
    feed = continued(fed([*opening(), split(1 / 3), later, *MONDAY]))
    assert stands(feed)["positions"] == {"AAA": 3.333333}
    # its day; and the split delivered again
    for row in (printed(1.0, at(17, 10), "BBB"), split(1 / 3, at(17, 11))):
        feed.say((row["topic"], row["event"]))
    assert stands(feed)["positions"] == {"AAA": 3.333333}
    assert stands(feed)["cash"] == 103.33
    amended = split(0.5, at(17, 12))
    feed.say((amended["topic"], amended["event"]))
    assert stands(feed)["positions"] == {"AAA": 5.0}


def test_the_splits_of_an_older_volatility_state_are_kept() -> None:
    volatility = VolatilityEngine(POLICY)
    state = {name: value for name, value in volatility.to_state().items() if name != "actions"}
    restored = VolatilityEngine(POLICY)
    # 0.33 would be refused today
    restored.restore(state | {"splits": {"AAA": [["2024-06-10", "s", 0.1], ["2024-06-11", "t", 0.33]]}})
    assert restored._splits("AAA") == [("2024-06-10", 0.1), ("2024-06-11", 0.33)]
