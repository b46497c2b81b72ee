"""The venue on a real broker, started anew behind a long log: it fills at the newest price, and no order that was cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from margin_platform.contracts.messages import FILLS, LIQUIDATION_ORDERS, PRICES, Event, decode
from margin_platform.kafka.bus import Bus
from margin_platform.stack.venue import run

pytestmark = pytest.mark.kafka
BEHIND = 6_000   # records: more than the venue takes at once


@pytest.fixture
def serve(bus: Bus) -> Iterator[Callable[[], None]]:
    """Starts the venue, on connections of its own; it is stopped at the end of the test."""
    stop, started = threading.Event(), []

    def start() -> None:
        own = Bus(bus.bootstrap)
        started.append((own, threading.Thread(target=run, args=(own, stop))))
        started[-1][1].start()

    yield start
    stop.set()
    for own, thread in started:
        thread.join(30)
        own.close()


def order(order_id: str, symbol: str) -> Event:
    return {
        "order_id": order_id, "account_id": "A1", "correlation_id": "c1", "timestamp": 1, "action": "NEW",
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


def test_a_venue_behind_a_long_log_fills_at_the_newest_price(bus: Bus, serve: Callable[[], None]) -> None:
    symbols = ("AAPL", "KO", "MSFT", "PEP")
    for n in range(BEHIND):
        for symbol in symbols:
            bus.produce(PRICES, {"symbol": symbol, "price": 1.0 + n, "timestamp": 1_000 + n})
    for symbol in symbols:
        bus.produce(LIQUIDATION_ORDERS, order(f"o-{symbol}", symbol))
    bus.flush()
    serve()
    made = {(f["symbol"], f["price"], f["timestamp"]) for f in fills(bus, len(symbols))}
    assert made == {(symbol, float(BEHIND), 999 + BEHIND) for symbol in symbols}


def test_a_venue_behind_a_long_log_fills_no_order_that_was_cancelled_meanwhile(bus: Bus, serve: Callable[[], None]) -> None:
    bus.produce(PRICES, {"symbol": "AAPL", "price": 60.0, "timestamp": 1_000})
    for n in range(BEHIND):
        bus.produce(LIQUIDATION_ORDERS, order(f"o{n}", "AAPL"))
    for n in range(BEHIND):
        bus.produce(LIQUIDATION_ORDERS, {"order_id": f"o{n}", "account_id": "A1", "action": "CANCEL"})
    bus.produce(LIQUIDATION_ORDERS, order("last", "AAPL"))
    bus.flush()
    serve()
    (only,) = fills(bus, 1)
    assert only["order_id"] == "last"
