"""Liquidation orders for the simulated venue, and the fills it answers with."""

from __future__ import annotations

from margin_platform.contracts.messages import FILLS, Event, decode
from margin_platform.kafka.bus import Bus

T = 1_582_299_000_000  # event time: a session of 2020


def order(order_id: str, symbol: str) -> Event:
    return {
        "order_id": order_id,
        "account_id": "A1",
        "correlation_id": "c1",
        "timestamp": T,
        "action": "NEW",
        "positions": [{"symbol": symbol, "side": "SELL", "qty": 10}],
    }


def fills(bus: Bus, count: int) -> list[Event]:
    """The fills on the topic once there are so many."""
    positions, found = dict(bus.beginning_offsets(FILLS)), []
    while len(found) < count:
        records = bus.poll(FILLS, positions, timeout_s=30)
        assert records, f"{len(found)} fills of {count}"
        for record in records:
            positions[record.partition] = record.offset + 1
            found.append(decode(FILLS, record.value))
    return found
