"""margin.status.v1 events for tests, built by the product's own engine from plain books."""

from __future__ import annotations

from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine

MORNING = 1_582_295_400_000  # 2020-02-21 09:30 New York, a session
PRODUCED = 1_790_000_000_000


class StatusFeed:
    """A margin engine fed by hand: says things in order and collects the status events that follow."""

    def __init__(self) -> None:
        self.engine = MarginEngine(load(), current_policy())
        self._offset: dict[str, int] = {}
        self._batch = 0

    def say(self, *messages: tuple[str, Event]) -> list[Event]:
        records = []
        for topic, event in messages:
            offset = self._offset[topic] = self._offset.get(topic, -1) + 1
            records.append(Record(topic, 0, offset, None, encode(event), PRODUCED))
        self._batch += 1
        outcome = self.engine.process(records, self._batch)
        assert not outcome.dead, outcome.dead
        return list(outcome.status)

    def open(
        self, account_id: str, cash: float, price: float, shares: float, *, minute: int = 0
    ) -> list[Event]:
        """An account with one AAPL position at a price."""
        at = MORNING + minute * 60_000
        fill = {
            "fill_id": f"open-{account_id}",
            "account_id": account_id,
            "symbol": "AAPL",
            "qty": shares,
            "price": price,
        }
        return self.say(
            (ACCOUNTS, {"account_id": account_id, "margin_type": "REG_T", "timestamp": at}),
            (
                CASH,
                {
                    "transfer_id": f"open-{account_id}",
                    "account_id": account_id,
                    "amount": cash + shares * price,
                    "timestamp": at,
                },
            ),
            (FILLS, fill | {"timestamp": at}),
            (PRICES, {"symbol": "AAPL", "price": price, "timestamp": at}),
        )

    def price(self, price: float, minute: float) -> list[Event]:
        return self.say(
            (PRICES, {"symbol": "AAPL", "price": price, "timestamp": MORNING + int(minute * 60_000)})
        )
