"""Prints by columns lead to what each by itself does: the same volatilities and the same state."""

from __future__ import annotations

import random
from operator import itemgetter

import pytest

from margin_platform.contracts.messages import PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.policy.policy import current_policy
from margin_platform.volatility.engine import VolatilityEngine

POLICY = current_policy()
FRIDAY, MINUTE, DAY = 1_591_363_800_000, 60_000, 86_400_000  # 2020-06-05 09:30 New York
SYMBOLS = [f"S{n}" for n in range(12)]
_symbol = itemgetter("symbol")


def _print(chance: random.Random, at: int, odd: float) -> Event:
    """A print within a minute; now and then one that only its own path may take."""
    event: Event = {"symbol": chance.choice(SYMBOLS), "price": round(chance.uniform(50, 51), 2)}
    event["timestamp"] = at + chance.randrange(0, MINUTE, 7_000)
    if chance.random() < 0.3:
        event["sequence"] = chance.randrange(5)
    if chance.random() < 0.1:
        event["confirmed"] = chance.random() < 0.5
    if chance.random() < odd:
        event |= chance.choice(
            (
                {"correction": True},
                {"official_close": True},
                {"price": -1.0},
                {"symbol": "Ä"},
                {"timestamp": event["timestamp"] - DAY},
                {"timestamp": event["timestamp"] + DAY},
                {"sequence": None},
            )
        )
    return event


def _feed(chance: random.Random, odd: float) -> list[list[Record]]:
    """Forty days, weekends too: before the opening, in the session, at its close, after it."""
    ends, batches = [0, 0], []
    for day in range(40):
        for minute in (-5, 0, 200, 389, 390, 500):
            at, batch = FRIDAY + day * DAY + minute * MINUTE, list[Record]()
            for _ in range(chance.randrange(40)):
                event, partition = _print(chance, at, odd), chance.randrange(2)
                produced = at + MINUTE
                batch.append(Record(PRICES, partition, ends[partition], None, encode(event), produced))
                ends[partition] += 1
            batches.append(batch)
    return batches


@pytest.mark.parametrize("odd", [0.0, 0.01, 0.2])
def test_columns_lead_to_the_same_as_each_print_by_itself(odd: float) -> None:
    chance = random.Random(11)
    columns = VolatilityEngine(POLICY, lambda symbol: symbol != "S3")
    single = VolatilityEngine(POLICY, lambda symbol: symbol != "S3")
    columns.least, single.least = 1, 10**9
    published = 0
    for batch in _feed(chance, odd):
        again = batch[: chance.randrange(3)]  # delivered twice
        found, expected = columns.process([*batch, *again]), single.process([*batch, *again])
        assert sorted(found, key=_symbol) == sorted(expected, key=_symbol)
        assert columns.to_state() == single.to_state()
        published += len(found)
    assert published > 200
