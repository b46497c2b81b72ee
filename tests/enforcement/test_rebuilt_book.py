"""A book that is rebuilt from the topics publishes its bands again; what was decided on them stays so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    FILLS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    PRICES,
    Event,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.shard import ShardEngine
from margin_platform.snapshots.shards import Shard
from margin_platform.store.store import Store
from tests.support.market_day import OPEN

POLICY = current_policy()
FALL = (60.0, 54.0, 49.0, 44.0, 40.0)
UP_AND_DOWN = (*FALL, 54.0, 49.0, 42.0)


def topics(prices: Iterable[float]) -> list[Record]:
    """An account that owes, and prices after each other."""
    bought = {"fill_id": "f", "account_id": "A1", "symbol": "KO", "qty": 200, "price": 60.0}
    events = [
        (ACCOUNTS, {"account_id": "A1", "margin_type": "REG_T"}),
        (CASH, {"transfer_id": "t", "account_id": "A1", "amount": 6_000.0}),
        (FILLS, bought),
        *((PRICES, {"symbol": "KO", "price": price}) for price in prices),
    ]
    return [
        Record(topic, 0, n, None, encode(event | {"timestamp": OPEN + 1_000 * n}), OPEN + 1_000 * n)
        for n, (topic, event) in enumerate(events)
    ]


class Streams:
    """A shard from the topics' beginning, and the ladder, which has read what earlier ones published."""

    def __init__(self, store: Store) -> None:
        self._engine, self._enforcer = ShardEngine(load(), POLICY, Shard(0, 1)), Enforcer(store, POLICY)
        self._batch = 0

    def read(self, records: Sequence[Record], status_before: int) -> tuple[int, list[Event]]:
        """Read a batch; return how many status events there are now, and what was decided on calls."""
        self._batch += 1
        events = list(self._engine.process(records, self._batch).status)
        placed = [(event, (MARGIN_STATUS, 0, status_before + n)) for n, event in enumerate(events)]
        sent = self._enforcer.handle_many(placed, run_id="run")
        return status_before + len(events), [event for topic, event in sent if topic == MARGIN_CALLS]


@pytest.mark.parametrize("prices", [FALL, UP_AND_DOWN])
@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_a_rebuild_decides_nothing_that_was_decided_and_goes_on_from_there(
    store_url: str, prices: tuple[float, ...], at_once: int
) -> None:
    records = topics(prices)
    at = OPEN + 1_000 * len(records)
    paid = {"transfer_id": "paid", "account_id": "A1", "amount": 6_000.0, "timestamp": at}
    with Store(store_url) as store:
        status, made, streams = 0, list[str](), Streams(store)
        for record in records:
            status, decided = streams.read([record], status)
            made += [event["action"] for event in decided]
        assert "MARGIN_CALL" in made
        rebuilt, before = Streams(store), status
        for n in range(0, len(records), at_once):
            status, decided = rebuilt.read(records[n : n + at_once], status)
            assert decided == []
        assert status > before  # its bands were published again
        _, decided = rebuilt.read([Record(CASH, 0, len(records), None, encode(paid), at)], status)
        assert [event["action"] for event in decided] == ["MET"]
