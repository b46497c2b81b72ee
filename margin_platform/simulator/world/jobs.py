"""The bodies of the simulated runs: the product's own functions over the simulated Kafka and store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction
from typing_extensions import override

from margin_platform.contracts.events.vocabulary import asks_for_orders
from margin_platform.contracts.messages import (
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    MARGIN_STATUS,
    RESTRICTIONS,
    decode,
)
from margin_platform.contracts.offsets import Record, Span
from margin_platform.enforcement.acting import answer_parts, decide_parts, fire_due
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.event_clock import clock
from margin_platform.notification.announcing import announce, resend
from margin_platform.notification.delivery import Notifier
from margin_platform.notification.message import SUBJECTS
from margin_platform.policy.policy import Policy
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.processes import Processes
from margin_platform.simulator.world.providers import Provider
from margin_platform.simulator.world.topics import Connection, Topics
from margin_platform.store import progress
from margin_platform.store.outbox import publish
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from margin_platform.store.undecided import Read, undecided
from margin_platform.store.unit_of_work import Message

Work = Callable[[Span | None, str], None]  # a run's body: its span, None where the clock starts it; run id


@dataclass
class _Reading:
    """A consumer that reads, and keeps the offsets that it was given."""

    consumer: Consumer
    reads: dict[tuple[str, str], set[int]]

    def info(self, said: str) -> None: ...
    def warning(self, said: str) -> None: ...
    def was_read(self, read: Read) -> None:
        given = {record.offset for record, _ in (*read.events, *read.refused)}
        self.reads[self.consumer, read.span.topic] |= given


class _NotingEnforcer(Enforcer):
    """The product's enforcer; its process notes the time up to which it fires timers."""

    def __init__(self, store: Store, policy: Policy, processes: Processes) -> None:
        super().__init__(store, policy)
        self._processes = processes

    @override
    def fire_timers(self, now: int, run_id: str | None = None) -> list[Message]:
        process = self._processes.current
        assert process is not None
        process.firing = now
        try:
            return super().fire_timers(now, run_id)
        finally:
            process.firing = None


@dataclass
class Jobs:
    """What each job of the product does.

    commits: in their order, next status offsets that were decided or left, and clock times fired, each with
    its time; reads: by consumer and topic, the offsets that it was given.
    """

    agenda: Agenda
    processes: Processes
    topics: Topics
    providers: Sequence[Provider]
    policy: Policy
    commits: list[tuple[str, int, int]]
    reads: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))

    def over(self, store: Store) -> dict[str, Work]:
        """Return the body of each job by its name."""
        self._store = store
        return {
            "enforcement": self._enforce,
            "ladder_timers": self._fire,
            "liquidation": self._liquidate,
            "notification": self._notify,
            "notification_retry": self._resend,
            "outbox_relay": self._publish,
        }

    def committed(self, connection: Transaction) -> None:
        """Keep the order in which status events and readings of the clock were decided."""
        process = self.processes.current
        if process is None or not process.name.startswith(("enforcement", "ladder_timers")):
            return
        if process.firing is not None:
            self.commits.append(("clock", process.firing, self.agenda.now))
        elif known := progress.of(connection, Consumer.ENFORCEMENT, MARGIN_STATUS, 0):
            self.commits.append(("status", known.next_offset, self.agenda.now))

    def skipped(self, next_offset: int) -> None:
        """Keep that the status events of before an offset are left undecided."""
        self.commits.append(("skip", next_offset, self.agenda.now))

    def bus(self) -> Connection:
        """Return a new connection."""
        return Connection(self.topics, self.processes)

    def _enforcer(self) -> Enforcer:
        return _NotingEnforcer(self._store, self.policy, self.processes)

    def _undecided(self, bus: Connection, consumer: Consumer, span: Span | None) -> Iterator[Read]:
        assert span is not None
        return undecided(self._reading(consumer), bus, self._store, consumer, span)

    def _reading(self, consumer: Consumer) -> _Reading:
        return _Reading(consumer, self.reads)

    def _enforce(self, span: Span | None, run_id: str) -> None:
        bus = self.bus()
        reads = self._undecided(bus, Consumer.ENFORCEMENT, span)
        _drain(decide_parts(bus, self._enforcer(), reads, run_id))

    def _fire(self, _: Span | None, run_id: str) -> None:
        bus = self.bus()
        now = clock(bus, self.agenda.now)
        if now is not None:
            fire_due(bus, self._enforcer(), now, run_id, self._reading(Consumer.ENFORCEMENT))

    def _liquidate(self, span: Span | None, run_id: str) -> None:
        bus = self.bus()
        reads = self._undecided(bus, Consumer.LIQUIDATION, span)
        _drain(answer_parts(bus, self.bus(), self._store, self.policy, reads, run_id))

    def _notifier(self) -> Notifier:
        firm = {"email": "desk@broker.example"}
        return Notifier(self._store, self.policy, self.providers, firm=firm, senders=1)

    def _notify(self, span: Span | None, run_id: str) -> None:
        bus = self.bus()
        reads = self._undecided(bus, Consumer.NOTIFICATION, span)
        _drain(announce(bus, self.bus(), self._notifier(), reads, lambda: self.agenda.now, run_id))

    def _resend(self, _: Span | None, run_id: str) -> None:
        resend(self.bus(), self._notifier(), self.agenda.now, run_id)

    def _publish(self, _: Span | None, __: str) -> None:
        publish(self._store, self.bus())


def _drain(parts: Iterator[object]) -> None:
    for _ in parts:
        pass


def is_relevant(job: str, record: Record) -> bool:
    """Report whether a record makes its job's sensor ask for a run."""
    if job == "enforcement":
        return True
    event = decode(record.topic, record.value)
    if job == "liquidation":
        return asks_for_orders(event)
    return (record.topic, event.get("action", "NEW")) in SUBJECTS


TOPICS_OF_JOBS = {
    "enforcement": (MARGIN_STATUS,),
    "liquidation": (MARGIN_CALLS,),
    "notification": (MARGIN_CALLS, RESTRICTIONS, LIQUIDATION_ORDERS),
    "ladder_timers": (None,),
    "notification_retry": (None,),
    "outbox_relay": (None,),
}
