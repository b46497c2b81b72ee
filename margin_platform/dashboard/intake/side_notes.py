"""What the page takes from the book's topics besides the book: names, and the end of a replay."""

from __future__ import annotations

import contextlib

from margin_platform.contracts.messages import ACCOUNTS, PRICES, BadEvent, Event, decode
from margin_platform.dashboard.intake.freshness import Feed


def terms(partition: int, value: bytes | None) -> list[tuple[str, int, Event]]:
    """Return an account's terms, for the names in them; none where the stream refuses them."""
    try:
        return [(ACCOUNTS, partition, decode(ACCOUNTS, value))]
    except BadEvent:
        return []


def note_price(feed: Feed, value: bytes, written: int) -> None:
    """Note when a price was written, and whether it is the last one of a replay.

    The others are not decoded twice: thousands come a second.
    """
    feed.priced(written)
    if b"last_of_replay" in value:
        with contextlib.suppress(BadEvent):  # the stream refuses it
            event = decode(PRICES, value)
            if event.get("last_of_replay"):
                feed.replay_ended(event["timestamp"], written)
