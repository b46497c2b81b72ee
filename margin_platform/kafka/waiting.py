"""Waiting for a broker that goes away, for the commands that a person looks at.

One message when it goes and one when it is back. A broker that is not there at the start is an error: its
address may be mistyped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from margin_platform.contracts.messages import TOPICS, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.broker_errors import BrokerRefused, BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.event_log import Sender

Answer = TypeVar("Answer")
_RETRY_SECONDS = 1.0
_MOST_UNSURE = 5_000  # events sent and not acknowledged yet
_UNSURE_SECONDS = 1.0


class Waiting:
    """Acts until a broker answers."""

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        stopped: Callable[[], bool] = lambda: False,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set `say`, which takes one line when the broker goes and one when it is back, and `stopped`:
        whether to wait no more."""
        self._say, self._stopped, self._wait = say, stopped, wait
        self._clock, self.seconds = clock, 0.0  # spent without a broker, so far

    def until(self, act: Callable[[], Answer]) -> Answer:
        """Return what the act returns, repeated while no broker answers.

        BrokerUnreachable where waiting was stopped; BrokerRefused immediately.
        """
        away, began = False, self._clock()
        while True:
            try:
                found = act()
            except BrokerUnreachable as error:
                if isinstance(error, BrokerRefused) or self._stopped():
                    raise
                if not away:
                    self._say(f"{error}: waiting for it")
                away = True
                self._wait(_RETRY_SECONDS)
            else:
                if away:
                    self.seconds += self._clock() - began
                    self._say("the broker answers again")
                return found


class Resending:
    """Sends events, and sends those again that a broker that went away did not acknowledge.

    Some may arrive twice, as everywhere on the bus.
    """

    def __init__(self, bus: Sender, waiting: Waiting, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._waiting, self._clock = bus, waiting, clock
        self._unsure: list[tuple[str, bytes, str | None]] = []
        self._since = 0.0

    def produce(self, topic: str, event: Event, key: str | None = None) -> None:
        """Produce an event to the bus. BrokerUnreachable where there was no broker yet."""
        self.produce_raw(topic, encode(event), str(event[TOPICS[topic].key]) if key is None else key)

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        """Produce an encoded event to the bus. BrokerUnreachable where there was no broker yet."""
        self._bus.produce_raw(topic, value, key)
        if not self._unsure:
            self._since = self._clock()
        self._unsure.append((topic, value, key))
        if len(self._unsure) >= _MOST_UNSURE or self._clock() - self._since >= _UNSURE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Return when every event is acknowledged, however long the broker is away."""
        tried = False

        def deliver() -> None:
            nonlocal tried
            for topic, value, key in self._unsure if tried else ():
                self._bus.produce_raw(topic, value, key)
            tried = True
            self._bus.flush()

        self._waiting.until(deliver)
        self._unsure.clear()


class PatientBus(Bus):
    """A bus whose readers and senders wait for a broker that goes away.

    The first call after it was made raises BrokerUnreachable where there is none: `end_offsets`, for example.
    """

    def __init__(self, bootstrap: str, waiting: Waiting) -> None:
        super().__init__(bootstrap)
        self._straight = Bus(bootstrap)  # what the sender asks again
        self._waiting, self._sender = waiting, Resending(self._straight, waiting)
        self._was_there = False

    def close(self) -> None:
        """Close both connections."""
        self._straight.close()
        super().close()

    def produce_raw(self, topic: str, value: bytes, key: str | None) -> None:
        """Hand an encoded event to the producer; it is sent again where it was not acknowledged."""
        self._sender.produce_raw(topic, value, key)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Return when every event is acknowledged, however long the broker is away."""
        self._sender.flush()

    def end_offsets(self, topic: str) -> dict[int, int]:
        """Return the next offset to be written, by partition."""
        read = super().end_offsets
        if not self._was_there:
            found = read(topic)
            self._was_there = True
            return found
        return self._waiting.until(lambda: read(topic))

    def beginning_offsets(self, topic: str) -> dict[int, int]:
        """Return the oldest offset still kept, by partition."""
        read = super().beginning_offsets
        return self._waiting.until(lambda: read(topic))

    def poll(
        self, topic: str, positions: dict[int, int], timeout_s: float, max_records: int = 10_000
    ) -> list[Record]:
        """Return what there is from these offsets on."""
        read = super().poll
        return self._waiting.until(lambda: read(topic, positions, timeout_s, max_records))
