"""What the sensors of the clock look at: timers, notices to send again, messages that stay unsent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from margin_platform.enforcement.timers import next_timer
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.event_clock import clock
from margin_platform.notification.states import next_due
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.decision_store import SimulatedStore
from margin_platform.simulator.world.orchestrator import Job
from margin_platform.simulator.world.topics import Connection
from margin_platform.store.outbox import oldest_unsent


@dataclass
class Clocks:
    """Asks for runs whose time has come. jobs: by their names."""

    agenda: Agenda
    store: SimulatedStore
    connect: Callable[[], Connection]
    ask: Callable[[Job], None]
    jobs: Mapping[str, Job]
    _oldest_unsent: int | None = None

    def look(self) -> None:
        """Look now, and again when something is due."""
        self._timer_due()
        self._attempt_due()
        oldest = self.store.answer(oldest_unsent)
        if oldest is not None and oldest == self._oldest_unsent:
            self.ask(self.jobs["outbox_relay"])
        self._oldest_unsent = oldest
        if oldest is not None:
            self.agenda.once("outbox", 10.0, self.look)

    def _timer_due(self) -> None:
        due = self.store.answer(next_timer)
        if due is None:
            return
        with suppress(BrokerUnreachable):
            now = clock(self.connect(), self.agenda.now)
            if now is not None and due <= now:
                self.ask(self.jobs["ladder_timers"])
        wait = max(30.0, (due - self.agenda.now) / 1000 + 1.0)
        self.agenda.once(f"timer {due}", wait, self._timer_due)

    def _attempt_due(self) -> None:
        due = self.store.answer(next_due)
        if due is None:
            return
        if due <= self.agenda.now:
            self.ask(self.jobs["notification_retry"])
        self.agenda.once("attempt", max(5.0, (due - self.agenda.now) / 1000), self._attempt_due)
