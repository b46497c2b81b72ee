"""How inputs reach Kafka: as they are sent, or late, twice, behind other topics, or by a fast clock."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field
from functools import partial

from margin_platform.contracts.messages import PRICES
from margin_platform.simulator.story import Fault
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.margin_stream import MarginStream
from margin_platform.simulator.world.market import Sent
from margin_platform.simulator.world.topics import Topics


@dataclass
class Deliveries:
    """Puts what is sent onto its topic. came: called after it has come; note: hears of each fault.

    spared: symbol and event time of prices that no fault of a delivery touches.
    """

    agenda: Agenda
    topics: Topics
    stream: MarginStream
    faults: list[Fault]
    came: Callable[[], None]
    note: Callable[[str], None]
    spared: Set[tuple[str, int]]
    fast: list[tuple[str, int, int]] = field(default_factory=list)  # symbol, its stamp, when it was true
    _sent: dict[str, int] = field(default_factory=dict)

    def send(self, sent: Sent) -> None:
        """Deliver an event, as the faults of its number say. Its source waits for a broker that is away."""
        number = self._sent.get(sent.topic, 0)
        self._sent[sent.topic] = number + 1
        wait, true = 0.0, sent.event["timestamp"]  # two faults may stamp it one after the other
        spared = sent.topic == PRICES and (sent.event["symbol"], sent.event["timestamp"]) in self.spared
        for fault in () if spared else self.faults:
            if fault.at != number or fault.what.split()[-1] != sent.topic:
                continue
            if fault.kind == "clock" and sent.topic == PRICES:
                self.note(f"{sent.topic} number {number} is stamped {fault.seconds} s ahead")
                ahead = sent.event["timestamp"] + 1_000 * fault.seconds
                self.fast.append((sent.event["symbol"], ahead, true))
                sent = sent._replace(event=sent.event | {"timestamp": ahead})
            elif fault.kind == "delivery":
                how = fault.what.split()[0]
                self.note(f"{sent.topic} number {number} is delivered {how}, {fault.seconds} s")
                if how == "twice":
                    self.agenda.after(fault.seconds, partial(self.put, sent))
                elif how == "late":
                    wait = float(fault.seconds)
                else:
                    self._hold(sent.topic, fault)
        if wait:
            self.agenda.after(wait, lambda: self.put(sent))
        else:
            self.put(sent)

    def put(self, sent: Sent) -> None:
        """Put an event onto its topic, once there is a broker."""
        if self.topics.is_away:
            self.agenda.at(self.topics.away_until, lambda: self.put(sent))
            return
        self.topics.send(sent.topic, sent.event)
        self.came()

    def _hold(self, topic: str, fault: Fault) -> None:
        """Hide a partition from the stream for a time: what other topics bring overtakes it."""
        place = topic, fault.place % len(self.topics.partitions(topic))
        self.stream.held.add(place)

        def seen() -> None:
            self.stream.held.discard(place)
            self.came()

        self.agenda.after(fault.seconds, seen)
