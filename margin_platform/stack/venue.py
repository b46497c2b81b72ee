"""The simulated venue: answers liquidation.orders.v1 with fills at the market price, labeled simulated.

It stands where a broker's execution system would. Fill ids follow from the order and the symbol, so an order
answered twice (a restart, a duplicate message) is one fill to everybody who reads it. It keeps nothing of its
own: after a restart, orders without a fill are found again by reading the topics.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable

from margin_platform.contracts.events.vocabulary import OrderAction, Side
from margin_platform.contracts.messages import (
    CORPORATE_ACTIONS,
    FILLS,
    LIQUIDATION_ORDERS,
    PRICES,
    BadEvent,
    Event,
    check_time,
    decode,
    deterministic_id,
)
from margin_platform.contracts.offsets import Record
from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.kafka.broker_errors import BrokerRefused, BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.event_log import EventLog
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.market.price_gate import PriceGate
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from margin_platform.stack.venue_fills import VenueFills
from margin_platform.stop_signal import StopSignal, stop_on_signals
from margin_platform.trading_time.new_york import date_of
from margin_platform.trading_time.sessions import in_session

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.2
_BATCH = 5000
_NAME = "SIMULATED"
_MOST_WAIT_S = 15.0  # for a broker that is away, before it is asked again
Positions = dict[str, dict[int, int]]  # topic -> partition -> next offset


def fill_of(order: Event, leg: Event, price: float, timestamp: int) -> Event:
    """Build the fill of one leg of an order, whole, at a price; sells are negative."""
    sign = -1.0 if leg["side"] == Side.SELL else 1.0
    return {
        "fill_id": deterministic_id("simulated-venue", order["order_id"], leg["symbol"]),
        "account_id": order["account_id"],
        "symbol": leg["symbol"],
        "qty": sign * leg["qty"],
        "price": price,
        "timestamp": timestamp,
        "order_id": order["order_id"],
        "venue": _NAME,
    }


class Venue:
    """Working orders and the market they meet.

    `step` fills one leg of each order, so that a watcher can cancel the rest.

    A price that the platform's price gate sets aside fills nothing. An order counts in the shares of its own
    day: what is left of it is dropped once a corporate action has changed them, and it never takes a position
    through zero.
    """

    def __init__(self) -> None:
        self.orders: dict[str, Event] = {}
        self.open_legs: dict[str, list[Event]] = {}
        self.prices: dict[str, tuple[int, float]] = {}
        self.clock = 0
        self._gate = PriceGate(current_policy().prices)
        self._codes: dict[str, int] = {}
        self._actions = AnnouncedActions()
        self._fills = VenueFills(self._actions)

    def on_price(self, event: Event) -> None:
        """Take a price by event time; the venue's clock is the latest event time seen."""
        self._pass_time(event["timestamp"])
        symbol = event["symbol"]
        code = self._codes.setdefault(symbol, len(self._codes))
        event = self._gate.restated(code, event)
        at, good = self.prices.get(symbol, (0, None))
        if good is not None and self._gate.passes_over(code, event, at):
            return
        price = self._gate.take(code, event, good, at)
        if price is not None:
            self.prices[symbol] = event["timestamp"], float(price)

    def on_action(self, event: Event) -> None:
        """Take a corporate action, known from now on and in effect from its day."""
        with contextlib.suppress(BadEvent):  # the margin stream reports it
            self._actions.add(event)
        self._pass_time(event["timestamp"])

    def _pass_time(self, now: int) -> None:
        self.clock = max(self.clock, now)
        for symbol in self._actions.due(self.clock):
            code = self._codes.setdefault(symbol, len(self._codes))
            at, good = self.prices.get(symbol, (0, math.nan))
            price = self._gate.rebase(code, symbol, self._actions.in_effect(symbol), good, at)
            if price is not None:
                self.prices[symbol] = at, price

    def on_order(self, event: Event) -> None:
        """Take in a new order, a repeated one (ignored), or the cancellation of what is left of one."""
        if event.get("action") == OrderAction.CANCEL:
            self.open_legs.pop(event["order_id"], None)
            self.orders.setdefault(event["order_id"], event)
        elif event["order_id"] not in self.orders:
            self.orders[event["order_id"]] = event
            legs = [
                leg
                for leg in event.get("positions", [])
                if fill_of(event, leg, 0.0, 0)["fill_id"] not in self._fills
            ]
            self.open_legs[event["order_id"]] = legs

    def on_fill(self, event: Event, offset: int | None = None) -> None:
        """Take a fill from its offset: one made here and read back, or one made elsewhere."""
        self._fills.add(event, offset, is_own=event.get("venue") == _NAME)

    def step(self) -> list[Event]:
        """Return fills of the next leg of every order that may trade now at a price of this session."""
        fills = []
        for order_id, legs in list(self.open_legs.items()):
            order = self.orders[order_id]
            while legs and self._is_over(order, legs[0]["symbol"]):
                leg = legs.pop(0)
                log.info(
                    "order %s in %s dropped: a corporate action changed its shares", order_id, leg["symbol"]
                )
            if not legs:
                del self.open_legs[order_id]
            elif self.clock >= int(order.get("not_before") or 0) and self._has_price(legs[0]["symbol"]):
                leg = self._fills.within_position(order, legs.pop(0))
                if leg["qty"] > 0:
                    fill = fill_of(order, leg, self.prices[leg["symbol"]][1], self.clock)
                    self.on_fill(fill)
                    fills.append(fill)
        return fills

    def _has_price(self, symbol: str) -> bool:
        """Report whether the market is open and a symbol has a price of this session, not of the night
        before."""
        if (
            symbol not in self.prices
            or self._codes[symbol] in self._gate.suspects
            or not in_session(self.clock)
        ):
            return False
        at, _ = self.prices[symbol]
        return in_session(at) and date_of(at) == date_of(self.clock)

    def _is_over(self, order: Event, symbol: str) -> bool:
        """Report whether the shares that an order counts in no longer exist."""
        if (order.get("valid_until") or self.clock + 1) <= self.clock:
            return True
        made = order.get("timestamp")
        return made is not None and self._actions.reshaped_since(symbol, int(made), self.clock)


def readable(records: Iterable[Record]) -> Iterable[tuple[Record, Event]]:
    """Yield records with their events; what cannot be used is logged and stops nothing behind it."""
    most_ahead = None
    for record in records:
        try:
            event = decode(record.topic, record.value)
            if record.topic == PRICES:  # one from the future would move the clock of every order
                most_ahead = most_ahead or current_policy().prices.max_future_seconds
                check_time(event, record.timestamp_ms, most_ahead)
            yield record, event
        except BadEvent as error:
            log.warning("%s[%d]@%d refused: %s", record.topic, record.partition, record.offset, error)


class Service:
    """A venue at the topics: it reads prices and orders, produces fills, and flushes before it reads on.

    Nothing is filled before it has read what stood on the topics at its start: on the way the clock may be of
    today and a symbol's price of last week, and a cancelled order still open.
    """

    def __init__(self, bus: EventLog) -> None:
        """Read the fills there are."""
        self._bus, self._venue = bus, Venue()
        self._topics: dict[str, Callable[[Event, int], None]] = {
            CORPORATE_ACTIONS: lambda event, _: self._venue.on_action(event),
            PRICES: lambda event, _: self._venue.on_price(event),
            LIQUIDATION_ORDERS: lambda event, _: self._venue.on_order(event),
            FILLS: self._venue.on_fill,
        }
        fills_end = bus.end_offsets(FILLS)
        for partition, first in bus.beginning_offsets(FILLS).items():
            for record, event in readable(bus.read_range(FILLS, partition, first, fills_end[partition])):
                self._venue.on_fill(event, record.offset)
        self._positions: Positions = {topic: dict(bus.beginning_offsets(topic)) for topic in self._topics}
        self._positions[FILLS] = fills_end
        self._at_start = {topic: bus.end_offsets(topic) for topic in self._topics}

    def serve_once(self) -> None:
        """Read what has come to each topic, and fill what may be filled then."""
        for topic, handle in self._topics.items():
            records = self._bus.poll(topic, self._positions[topic], _POLL_SECONDS, _BATCH)
            for record, event in readable(records):
                handle(event, record.offset)
            for record in records:
                self._positions[topic][record.partition] = record.offset + 1
        if not _reached(self._positions, self._at_start):
            return
        for fill in self._venue.step():
            self._bus.produce(FILLS, fill)
            log.info("%(account_id)s: simulated fill %(fill_id)s %(symbol)s %(qty)+g at %(price)g", fill)
        self._bus.flush()


def run(bus: EventLog, stop: StopSignal) -> None:
    """Serve until asked to stop."""
    service = Service(bus)
    while not stop.is_set():
        service.serve_once()


def serve(connect: Callable[[], Bus], stop: StopSignal) -> None:
    """Run until stopped, and wait for a broker that goes away: the next run finds again what has no fill yet.

    BrokerUnreachable where there is none at the start, or where it refuses the login.
    """
    reached, wait = False, 1.0
    while not stop.is_set():
        bus = connect()
        try:
            bus.end_offsets(FILLS)
            reached, wait = True, 1.0
            run(bus, stop)
        except (BrokerUnreachable, TimeoutError) as error:
            if not reached or isinstance(error, BrokerRefused):
                raise
            log.warning("%s: asking again in %g s", error, wait)
            stop.wait(wait)
            wait = min(2 * wait, _MOST_WAIT_S)
        finally:
            bus.close()


def _reached(positions: Positions, ends: Positions) -> bool:
    return all(
        positions[topic][partition] >= end
        for topic, parts in ends.items()
        for partition, end in parts.items()
    )


def main() -> int:
    """Run `python -m margin_platform.stack.venue`: exit 0 when stopped by a signal, 1 when there is no broker
    at the start.
    """
    log_to_terminal()
    stop = stop_on_signals()
    try:
        serve(lambda: Bus(settings().kafka.bootstrap_servers), stop)
    except BrokerUnreachable as error:
        log.error("the venue has no broker: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
