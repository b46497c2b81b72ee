"""Drives the margin engine with the events of a file, one batch a line, as the stream would."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from margin_platform.contracts.messages import Event
from margin_platform.kernel.market import Instrument
from tests.support.engine_feed import Feed

HERE = Path(__file__).parents[1] / "field_cases"


def lines(name: str) -> list[Event]:
    """Return the lines of a file of tests/field_cases: {"topic", "event"}."""
    return [
        json.loads(line) for line in (HERE / name).read_text(encoding="utf-8").splitlines() if line.strip()
    ]


def fed(
    rows: Iterable[Event], symbols: Iterable[str] = ("AAA", "BBB", "CCC"), *, restart_after: int | None = None
) -> Feed:
    """Return a feed that has read each row as a batch of its own,
    restarted from its saved state after so many of them.
    """
    feed = Feed([Instrument(symbol=symbol) for symbol in symbols])
    for number, row in enumerate(rows, start=1):
        feed.say((row["topic"], row["event"]))
        if number == restart_after:
            feed.restart()
    return feed


def stands(feed: Feed, account: str = "A") -> dict[str, Any]:
    """Return positions, cash and equity of an account, and what holds it."""
    event = feed.engine.account_now(account)
    shown = {name: event.get(name) for name in ("cash", "equity", "stale_symbols")}
    return shown | {"positions": feed.engine.ledger.positions(account)}
