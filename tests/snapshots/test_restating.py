"""After events of margin.status.v1 were lost, the next batch says where every account stands."""

from __future__ import annotations

import pytest

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES
from margin_platform.snapshots.outcome import Messages
from tests.support.engine_feed import Feed
from tests.support.market_day import OPEN


def _opened() -> Feed:
    """A1 owes after a fall and is whole after the next price; A2 has cash alone."""
    feed = Feed()
    for name in ("A1", "A2"):
        feed.say((ACCOUNTS, {"account_id": name, "margin_type": "REG_T", "timestamp": OPEN}))
        feed.say((CASH, {"transfer_id": name, "account_id": name, "amount": 6_000.0, "timestamp": OPEN}))
    bought = {"fill_id": "f", "account_id": "A1", "symbol": "KO", "qty": 200, "price": 60.0}
    feed.say((FILLS, bought | {"timestamp": OPEN}))
    for second, price in enumerate((60.0, 54.0, 49.0, 44.0, 40.0, 44.0, 49.0, 54.0, 60.0)):
        feed.say((PRICES, {"symbol": "KO", "price": price, "timestamp": OPEN + 1_000 * second}))
    return feed


def _calls(feed: Feed) -> list[str]:
    return [kind for kind in feed.decisions("A1") if "CALL" in kind]


def _next_status(feed: Feed, at: int) -> list[str]:
    """The accounts of a batch that has nothing of them."""
    outcome = feed.say((PRICES, {"symbol": "JPM", "price": 150.0, "timestamp": OPEN + 1_000 * at}))
    return sorted(event["account_id"] for event in outcome.status)


@pytest.mark.parametrize("restarted", [False, True])
def test_every_account_is_stated_once_whether_anything_moved_or_not(restarted: bool) -> None:
    feed = _opened()
    assert _next_status(feed, 10) == []
    feed.engine.emission.forget_bands()
    if restarted:
        feed.restart()
    assert _next_status(feed, 11) == ["A1", "A2"]
    assert _next_status(feed, 12) == []


def test_a_call_whose_cure_was_lost_is_met_by_what_is_stated_again() -> None:
    """Seed 30224: a rebuild says nothing of an account that is whole, and its call went on."""
    feed = _opened()
    assert _calls(feed)[-1] == "CALL_CURED"
    called = next(n for n, made in enumerate(feed.outcomes) for e in made.status if (e["excess"] or 0) < 0)
    for outcome in feed.outcomes[called + 1 :]:
        outcome.status = Messages()
    assert "CALL_CURED" not in _calls(feed)
    feed.engine.emission.forget_bands()
    assert _next_status(feed, 11) == ["A1", "A2"]
    assert _calls(feed)[-1] == "CALL_CURED"
