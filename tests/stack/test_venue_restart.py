"""The venue on a real broker, started again behind a long log:
it fills at the newest price, and no order that was cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka.errors import RequestTimedOutError

from margin_platform.contracts.messages import LIQUIDATION_ORDERS, PRICES, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.stack import venue
from margin_platform.stack.venue import run
from margin_platform.stop_signal import StopSignal
from tests.support.venue_orders import T, fills, order

pytestmark = pytest.mark.kafka
BEHIND = 6_000  # records: more than the venue takes at once


@pytest.fixture
def serve(bus: Bus) -> Iterator[Callable[[], None]]:
    """Starts the venue, on connections of its own; it is stopped at the end of the test."""
    stop, started = StopSignal(), []

    def start() -> None:
        own = Bus(bus.bootstrap)
        started.append((own, threading.Thread(target=run, args=(own, stop))))
        started[-1][1].start()

    yield start
    stop.set()
    for own, thread in started:
        thread.join(30)
        own.close()


def test_a_venue_behind_a_long_log_fills_at_the_newest_price(bus: Bus, serve: Callable[[], None]) -> None:
    symbols = ("AAPL", "KO", "MSFT", "PEP")
    for n in range(BEHIND):
        for symbol in symbols:
            bus.produce(PRICES, {"symbol": symbol, "price": 100.0 + n / 1_000, "timestamp": T + n})
    for symbol in symbols:
        bus.produce(LIQUIDATION_ORDERS, order(f"o-{symbol}", symbol))
    bus.flush()
    serve()
    made = {(f["symbol"], f["price"], f["timestamp"]) for f in fills(bus, len(symbols))}
    assert made == {(symbol, 100.0 + (BEHIND - 1) / 1_000, T - 1 + BEHIND) for symbol in symbols}


def test_a_venue_behind_a_long_log_fills_no_order_that_was_cancelled_meanwhile(
    bus: Bus, serve: Callable[[], None]
) -> None:
    bus.produce(PRICES, {"symbol": "AAPL", "price": 60.0, "timestamp": T})
    for n in range(BEHIND):
        bus.produce(LIQUIDATION_ORDERS, order(f"o{n}", "AAPL"))
    for n in range(BEHIND):
        bus.produce(LIQUIDATION_ORDERS, {"order_id": f"o{n}", "account_id": "A1", "action": "CANCEL"})
    bus.produce(LIQUIDATION_ORDERS, order("last", "AAPL"))
    bus.flush()
    serve()
    (only,) = fills(bus, 1)
    assert only["order_id"] == "last"


class Pausing(Bus):
    """A bus whose broker answers no request for orders for a while, as a stopped process does."""

    def __init__(self, bootstrap: str, pauses: list[Exception]) -> None:
        super().__init__(bootstrap)
        self.pauses = pauses

    def poll(self, topic: str, *args: Any, **options: Any) -> list[Record]:
        if topic == LIQUIDATION_ORDERS and self.pauses:
            self._guard(self._paused)
        return super().poll(topic, *args, **options)

    def _paused(self, _: Any) -> None:
        raise self.pauses.pop()


def test_a_venue_survives_a_broker_that_pauses(bus: Bus) -> None:
    bus.produce(PRICES, {"symbol": "AAPL", "price": 60.0, "timestamp": T})
    bus.produce(LIQUIDATION_ORDERS, order("o1", "AAPL"))
    bus.produce_raw(LIQUIDATION_ORDERS, encode(order("bad", "AAPL") | {"action": "HALT"}), "A1")
    bus.produce_raw(
        LIQUIDATION_ORDERS,
        encode({"order_id": "bad", "account_id": "A1", "action": "X", "positions": [{}]}),
        "A1",
    )
    bus.produce(LIQUIDATION_ORDERS, order("o2", "AAPL"))
    bus.flush()
    pauses: list[Exception] = [RequestTimedOutError(), RequestTimedOutError()]
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(venue.serve, lambda: Pausing(bus.bootstrap, pauses), stop)
        try:
            assert {f["order_id"] for f in fills(bus, 2)} == {"o1", "o2"}
        finally:
            stop.set()
        serving.result(timeout=30)
    assert not pauses


def test_a_venue_without_a_broker_at_its_start_says_so() -> None:
    with pytest.raises(BrokerUnreachable):
        venue.serve(lambda: Bus("127.0.0.1:9", connect_seconds=0.5), threading.Event())
