"""A store that decided on a story of events."""

from __future__ import annotations

from margin_platform.contracts import messages
from margin_platform.policy.policy import current_policy
from tests.support import status_events

POLICY = current_policy()


def call_and_cure() -> list[tuple[messages.Event, tuple[str, int, int]]]:
    """An account on 2:1 falls into a call, further, and is cured:
    concentration makes the requirement 35% of value.
    """
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000)
    for price, minute in ((95.0, 1), (90.0, 2), (70.0, 35), (90.0, 48), (110.0, 50)):
        seen += feed.price(price, minute)
    return [(event, (messages.MARGIN_STATUS, 0, offset)) for offset, event in enumerate(seen)]
