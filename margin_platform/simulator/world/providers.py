"""The providers of notices, simulated: they keep what reached a customer, and can be away."""

from __future__ import annotations

from dataclasses import dataclass, field

from margin_platform.notification.channels import DeliveryFailed, Outgoing
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.processes import Processes


@dataclass
class Provider:
    """One provider. letters: notice and time (epoch milliseconds) of each message that it took."""

    name: str
    kind: str
    agenda: Agenda
    processes: Processes
    away_until: int = 0
    letters: list[tuple[str, int]] = field(default_factory=list)

    def send(self, message: Outgoing) -> str:
        """Take a message."""
        if self.agenda.now < self.away_until:
            raise DeliveryFailed("the provider does not answer")
        self.letters.append((message.id, self.agenda.now))
        self.processes.reach("after the provider took a notice", may_stall=False)
        return f"receipt-{message.id}"
