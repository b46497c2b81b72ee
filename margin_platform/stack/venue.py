"""The simulated venue: answers liquidation.orders.v1 with fills on fills.v1 at the market price, labelled simulated.

It stands where a broker's execution system would. Fill ids follow from the order and the symbol, so an order answered
twice (a restart, a duplicate message) is one fill to everybody who reads it. It keeps nothing of its own: after a
restart, orders without a fill are found again by reading both topics.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from margin_platform.contracts.messages import FILLS, LIQUIDATION_ORDERS, PRICES, BadEvent, Event, check_time, decode, deterministic_id
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.bus import BrokerUnreachable, Bus
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
_BATCH = 5000
Positions = dict[str, dict[int, int]]   # topic -> partition -> next offset


def fill_of(order: Event, leg: dict[str, Any], price: float, timestamp: int) -> Event:
    """The fill of one leg of an order, whole, at a price; sells are negative."""
    sign = -1.0 if leg["side"] == "SELL" else 1.0
    return {
        "fill_id": deterministic_id("simulated-venue", order["order_id"], leg["symbol"]),
        "account_id": order["account_id"],
        "symbol": leg["symbol"],
        "qty": sign * leg["qty"],
        "price": price,
        "timestamp": timestamp,
        "order_id": order["order_id"],
        "venue": "SIMULATED",
    }


@dataclass
class Venue:
    """Working orders and the market they meet. `step` fills one leg of each order, so that whoever watches can cancel the rest."""

    orders: dict[str, Event] = field(default_factory=dict)
    open_legs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    prices: dict[str, tuple[int, float]] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    clock: int = 0

    def on_price(self, event: Event) -> None:
        """The latest price by event time; the venue's clock is the latest event time seen."""
        known = self.prices.get(event["symbol"])
        if known is None or event["timestamp"] >= known[0]:
            self.prices[event["symbol"]] = (event["timestamp"], float(event["price"]))
        self.clock = max(self.clock, event["timestamp"])

    def on_order(self, event: Event) -> None:
        """A new order, a repeated one (ignored), or the cancellation of what is left of one."""
        if event.get("action") == "CANCEL":
            self.open_legs.pop(event["order_id"], None)
            self.orders.setdefault(event["order_id"], event)
        elif event["order_id"] not in self.orders:
            self.orders[event["order_id"]] = event
            legs = [leg for leg in event.get("positions", []) if fill_of(event, leg, 0.0, 0)["fill_id"] not in self.filled]
            self.open_legs[event["order_id"]] = legs

    def on_fill(self, event: Event) -> None:
        """A fill already made, read back after a restart."""
        self.filled.add(event["fill_id"])

    def step(self) -> list[Event]:
        """Fills of the next leg of every order that may trade now and whose symbol has a price."""
        fills = []
        for order_id, legs in list(self.open_legs.items()):
            order = self.orders[order_id]
            if not legs:
                del self.open_legs[order_id]
            elif self.clock >= int(order.get("not_before") or 0) and legs[0]["symbol"] in self.prices:
                leg = legs.pop(0)
                fill = fill_of(order, leg, self.prices[leg["symbol"]][1], self.clock)
                self.filled.add(fill["fill_id"])
                fills.append(fill)
        return fills


def readable(records: Iterable[Record]) -> Iterable[Event]:
    """The events among these records; what cannot be used is logged and stops nothing behind it."""
    most_ahead = current_policy().prices.max_future_seconds
    for record in records:
        try:
            event = decode(record.topic, record.value)
            if record.topic == PRICES:   # one from the future would move the clock of every order
                check_time(event, record.timestamp_ms, most_ahead)
            yield event
        except BadEvent as error:
            log.warning("%s[%d]@%d refused: %s", record.topic, record.partition, record.offset, error)


def run(bus: Bus, stop: threading.Event) -> None:
    """Serves until told to stop: reads prices and orders as they come, produces fills, and flushes before it reads on.

    Nothing is filled before it has read what stood on both topics at its start: partitions are read one after the other, so that
    on the way the clock may be of today and a symbol's price of last week, and a cancelled order still open.
    """
    venue = Venue()
    venue_topics = {PRICES: venue.on_price, LIQUIDATION_ORDERS: venue.on_order}
    for partition, end in bus.end_offsets(FILLS).items():
        for event in readable(bus.read_range(FILLS, partition, bus.beginning_offsets(FILLS)[partition], end)):
            venue.on_fill(event)
    positions = {topic: dict(bus.beginning_offsets(topic)) for topic in venue_topics}
    at_start = {topic: bus.end_offsets(topic) for topic in venue_topics}
    while not stop.is_set():
        for topic, handle in venue_topics.items():
            records = bus.poll(topic, positions[topic], _POLL_SECONDS, _BATCH)
            for event in readable(records):
                handle(event)
            for record in records:
                positions[topic][record.partition] = record.offset + 1
        if not _reached(positions, at_start):
            continue
        for fill in venue.step():
            bus.produce(FILLS, fill)
            log.info("account %(account_id)s: simulated fill %(fill_id)s %(symbol)s %(qty)+g at %(price)g", fill)
        bus.flush()


def _reached(positions: Positions, ends: Positions) -> bool:
    return all(positions[topic][partition] >= end for topic, parts in ends.items() for partition, end in parts.items())


def main() -> int:
    """`python -m margin_platform.stack.venue`: exit 0 when stopped by a signal, 1 when the broker cannot be reached."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        bus = Bus(settings().kafka.bootstrap_servers)
        try:
            run(bus, stop)
        finally:
            bus.close()
    except BrokerUnreachable as error:
        log.error("the venue has no broker: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
