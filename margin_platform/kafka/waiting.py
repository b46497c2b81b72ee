"""Waiting for a broker that goes away, for the commands that run as long as a person looks at them.

Said once when it goes and once when it is back. A broker that is not there at the start is an error: its
address may be mistyped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from margin_platform.contracts.messages import Event
from margin_platform.kafka.broker_errors import BrokerRefused, BrokerUnreachable

Answer = TypeVar("Answer")
_RETRY_SECONDS = 1.0
_MOST_UNSURE = 5_000  # events sent and not acknowledged yet
_UNSURE_SECONDS = 1.0


class Sender(Protocol):
    """What a bus sends by."""

    def produce(self, topic: str, event: Event) -> None: ...
    def flush(self) -> None: ...


class Waiting:
    """Acts until a broker answers."""

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        stopped: Callable[[], bool] = lambda: False,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set `say`, which takes one line when the broker goes and one when it is back, and `stopped`:
        whether to wait no more."""
        self._say, self._stopped, self._wait = say, stopped, wait

    def until(self, act: Callable[[], Answer]) -> Answer:
        """Return what the act returns, repeated while no broker answers.

        BrokerUnreachable where waiting was stopped; BrokerRefused at once.
        """
        away = False
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
                    self._say("the broker answers again")
                return found


class Resending:
    """Sends events, and sends those again that a broker that went away did not acknowledge.

    Some may arrive twice, as everywhere on the bus.
    """

    def __init__(self, bus: Sender, waiting: Waiting, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._waiting, self._clock = bus, waiting, clock
        self._unsure: list[tuple[str, Event]] = []
        self._since = 0.0

    def produce(self, topic: str, event: Event) -> None:
        """Produce an event to the bus. BrokerUnreachable where there was no broker yet."""
        self._bus.produce(topic, event)
        if not self._unsure:
            self._since = self._clock()
        self._unsure.append((topic, event))
        if len(self._unsure) >= _MOST_UNSURE or self._clock() - self._since >= _UNSURE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Return when every event is acknowledged, however long the broker is away."""
        tried = False

        def deliver() -> None:
            nonlocal tried
            for topic, event in self._unsure if tried else ():
                self._bus.produce(topic, event)
            tried = True
            self._bus.flush()

        self._waiting.until(deliver)
        self._unsure.clear()
