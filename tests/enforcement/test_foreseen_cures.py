"""The ways to meet a call are worked out while other writers may write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, Event
from margin_platform.contracts.refusals import InputError
from margin_platform.enforcement import foreseen_cures
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.liquidation.cures import Cure, cures_of_each
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.store.store import Store
from tests.support import second_writer, status_events


def fall() -> list[Event]:
    """Two accounts into a call, and one of them deeper."""
    feed = status_events.StatusFeed()
    for account in ("A", "B"):
        feed.open(account, cash=-60_000, price=100.0, shares=1000)
    return [*feed.price(82.0, 2), *feed.price(70.0, 3)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'store.db'}")


def test_no_cure_is_worked_out_while_the_store_is_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer gets its turn at each one of them."""
    worked_out = []

    def while_another_writes(causes: Sequence[Event], policy: Policy) -> list[list[Cure] | InputError]:
        second_writer.takes_its_turn(store)
        worked_out.extend(cause["calc_id"] for cause in causes)
        return cures_of_each(causes, policy)

    monkeypatch.setattr(foreseen_cures, "cures_of_each", while_another_writes)
    events = [(event, (MARGIN_STATUS, 0, n)) for n, event in enumerate(fall())]
    with store:
        messages = Enforcer(store, current_policy()).handle_many(events)
    asked = [event for topic, event in messages if topic == MARGIN_CALLS and "cures" in event]
    assert {event["account_id"] for event in asked} == {"A", "B"}
    assert all(event["cures"] for event in asked)
    assert len(worked_out) == len(set(worked_out)) > 0


def test_a_cure_that_was_not_foreseen_is_worked_out_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreseen_cures.ForeseenCures, "foresee", lambda *_: None)
    events = [(event, (MARGIN_STATUS, 0, n)) for n, event in enumerate(fall())]
    with store:
        messages = Enforcer(store, current_policy()).handle_many(events)
    assert all(event["cures"] for topic, event in messages if topic == MARGIN_CALLS and "cures" in event)
