"""However many engines share the symbols, the same volatilities are published in the same batch."""

from __future__ import annotations

import random
from typing import Any

from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.policy.policy import current_policy
from margin_platform.volatility.engine import VolatilityEngine
from tests.support.engine_feed import through_bytes

POLICY = current_policy()
MONDAY, DAY = 1_591_624_800_000, 86_400_000  # 2020-06-08 10:00 New York
SYMBOLS = "UVWXYZ"


def batches(chance: random.Random) -> list[list[Record]]:
    """Eight weeks of prints, some late, corrected or of no contract; a split announced late."""
    events: list[tuple[str, Event]] = []
    for day in range(56):
        at = MONDAY + day * DAY
        halved = 0.5 if day >= 30 else 1.0
        for symbol in SYMBOLS:
            price = round(100 * (halved if symbol == "X" else 1.0) * chance.uniform(0.98, 1.02), 2)
            events.append((PRICES, {"symbol": symbol, "price": price, "timestamp": at + chance.randrange(9)}))
            if chance.random() < 0.1:
                late = {"symbol": symbol, "price": price * 1.01, "timestamp": at - 2 * DAY}
                events.append((PRICES, late | {"official_close": chance.random() < 0.5}))
            if chance.random() < 0.1:
                events.append(
                    (PRICES, {"symbol": symbol, "price": 99.0, "timestamp": at + 20, "correction": True})
                )
        events.append((PRICES, {"symbol": "", "price": -1, "timestamp": at + 30 * DAY}))  # moves no clock
        if day == 32:
            split = {"action_id": "s", "symbol": "X", "kind": "SPLIT", "ratio": 2, "ex_date": "2020-07-08"}
            events.append((CORPORATE_ACTIONS, split | {"timestamp": at}))
    records = [
        Record(topic, 0, n, None, encode(event), event["timestamp"])
        for n, (topic, event) in enumerate(events)
    ]
    return [records[n : n + 5] for n in range(0, len(records), 5)]


def published(shards: int, feed: list[list[Record]], restarted: int) -> list[list[Any]]:
    """What each batch leads to over all engines; the last one is another process from some batch on."""

    def engine(number: int) -> VolatilityEngine:
        return VolatilityEngine(POLICY, lambda symbol: SYMBOLS.find(symbol) % shards == number)

    engines, found = [engine(number) for number in range(shards)], []
    for n, batch in enumerate(feed):
        if n == restarted:
            saved = through_bytes(engines[-1].to_state())
            engines[-1] = engine(shards - 1)
            engines[-1].restore(saved)
        events = [event for one in engines for event in one.process(batch)]
        found.append(sorted(events, key=lambda e: (e["symbol"], e["as_of"])))
    return found


def test_one_two_and_seven_engines_publish_the_same_volatilities() -> None:
    chance = random.Random(5)
    feed = batches(chance)
    one = published(1, feed, chance.randrange(len(feed)))
    assert {event["symbol"] for events in one for event in events} == set(SYMBOLS)
    for shards in (2, 7):
        assert published(shards, feed, chance.randrange(len(feed))) == one
