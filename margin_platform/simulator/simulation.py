"""The world of a story: the product runs in it, it does to the product what the story says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import orjson

from margin_platform.contracts.messages import FILLS, MARGIN_CALLS, MARGIN_STATUS, PRICES, Event
from margin_platform.enforcement.order_gate import Gate
from margin_platform.policy.policy import current_policy
from margin_platform.simulator.clocks import Clocks
from margin_platform.simulator.faults.busts import Busts
from margin_platform.simulator.faults.person import Person
from margin_platform.simulator.faults.retention import Retention
from margin_platform.simulator.invariants import true_books
from margin_platform.simulator.story import Fault, Story, drawn
from margin_platform.simulator.world import market
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.customers import Customers
from margin_platform.simulator.world.decision_store import SimulatedStore
from margin_platform.simulator.world.deliveries import Deliveries
from margin_platform.simulator.world.jobs import TOPICS_OF_JOBS, Jobs
from margin_platform.simulator.world.margin_stream import MarginStream, RecordsDeleted
from margin_platform.simulator.world.orchestrator import Orchestrator
from margin_platform.simulator.world.processes import Interruption, Interruptions, Process, Processes
from margin_platform.simulator.world.providers import Provider
from margin_platform.simulator.world.topics import Topics
from margin_platform.stack.venue import Service

_STARTS_AGAIN = 30.0  # seconds until a dead stream or venue is back
_HEALS_WITHIN_MS = 3 * 3_600_000  # after the last fault, all is decided, published, sent


class World:
    """A world before, during and after its story. notes: what was done to it, and when."""

    def __init__(self, story: Story, store: SimulatedStore) -> None:
        """Build it; the store becomes the story's."""
        self.story, self.policy = story, current_policy()
        self.market = market.opened(story)
        self.agenda = Agenda(self.market.start)
        self.notes: list[tuple[int, str]] = []
        self.commits: list[tuple[str, int, int]] = []
        self.processes = Processes(self.agenda, self.note)
        self.topics = Topics(self.agenda)
        self._full_until = 0
        self.providers = [
            Provider("EMAIL", "email", self.agenda, self.processes),
            Provider("SMS", "phone", self.agenda, self.processes),
        ]
        self._stream_back_at, self._awaits_person = 0, False
        self.jobs = Jobs(self.agenda, self.processes, self.topics, self.providers, self.policy, self.commits)
        self.store = store
        store.begin(self.processes, self.jobs.committed, self._has_room)
        self.stream = MarginStream(
            self.topics, self.processes, self.policy, story.shards, drawn(story.seed, "saving").randint(1, 4)
        )
        faults = list(story.faults)
        self.deliveries = Deliveries(
            self.agenda, self.topics, self.stream, faults, self._inputs_came, self.note, self.market.measured
        )
        self.busts = Busts(faults, self.agenda, self.topics, self.deliveries.put, self.note)
        self.retention = Retention(
            faults, self.agenda, self.topics, self._not_read, self._records_deleted, self.note
        )
        self.customers = Customers(story, self.market, self.agenda, self._sent, self._gate(), self._held)
        self.orchestrator = Orchestrator(
            self.agenda,
            self.processes,
            faults,
            lambda topic: self.topics.partitions(topic)[0],
            self.note,
            self._run_ended,
            lambda topic: self.topics.oldest(topic, 0),
            lambda topic: self.person.call(topic),
        )
        back = self._stream_started, self.orchestrator.reset, self.jobs.skipped
        self.person = Person(self.agenda, self.topics, store, self.stream, *back, self.note)
        self._interruptions = Interruptions(faults, ("stream", "venue"))
        self._venue: Service | None = None
        self._venue_back_at = 0
        self._runs: dict[str, int] = {}
        self._heard = 0
        self._parsed: dict[tuple[str, int], list[tuple[int, int, int, Event]]] = {}
        added = {
            name: self.orchestrator.add(name, topic, work)
            for name, work in self.jobs.over(self.store).items()
            for topic in TOPICS_OF_JOBS[name]
        }
        self.clocks = Clocks(self.agenda, store, self.jobs.bus, self.orchestrator.ask, added)

    def _gate(self) -> Gate:
        def now() -> int:
            return self.agenda.now

        return Gate(self.store, self.policy.gate, clock=now, now=now, known=lambda _: True)

    def play_to_the_close(self) -> None:
        """Let the story happen, to the last close of its market."""
        for sent in self.market.before_the_opening():
            self.topics.send(sent.topic, sent.event)
        for sent in self.market.sent:
            self.agenda.at(sent.time, partial(self.deliveries.send, sent))
        self.agenda.at(self.market.steps[0] + 20_000, self.customers.begin)
        for fault in self.story.faults:
            if fault.kind in ("broker", "provider", "disk"):
                at = self.market.start + 1_000 * fault.at
                self.agenda.at(at, partial(self._take_away, fault))
        self.agenda.run_until(self.market.end)

    def heal(self) -> None:
        """Let everything heal: no fault comes any more. `faults` is shared with deliveries and runs."""
        for kind in (self._interruptions, self.busts, self.retention):
            kind.end()
        self.orchestrator.calm()
        self.agenda.run_until(self.market.end + _HEALS_WITHIN_MS)

    def note(self, what: str) -> None:
        """Note what was done to the world."""
        self.notes.append((self.agenda.now, what))

    def rows(self, topic: str) -> Iterator[tuple[int, int, int, Event]]:
        """Yield partition, offset, time and event of a topic's records by partition; each is parsed once."""
        for number, log in enumerate(self.topics.partitions(topic)):
            parsed = self._parsed.setdefault((topic, number), [])
            parsed += [
                (number, record.offset, record.timestamp_ms, orjson.loads(record.value or b"null"))
                for record in log[len(parsed) :]
            ]
            yield from parsed

    def read(self, topic: str) -> Iterator[Event]:
        """Yield the events of a topic."""
        return (event for _, _, _, event in self.rows(topic))

    # -- what follows from what

    def _sent(self, sent: market.Sent) -> None:
        """Deliver what a customer's broker sends; a fill whose bust comes first is held back."""
        wait = self.busts.of_customer(sent.event) if sent.topic == FILLS else 0
        if wait:
            self.agenda.after(wait, partial(self.deliveries.send, sent))
        else:
            self.deliveries.send(sent)

    def _not_read(self, topic: str, until: int) -> None:
        if topic == MARGIN_STATUS:
            self.orchestrator.switch_off(topic, until)
        else:
            self._stream_back_at = until

    def _records_deleted(self, topic: str) -> None:
        self.orchestrator.came()
        self._inputs_came()

    def _stream_started(self) -> None:
        self._awaits_person = False
        self._run_ended()
        self._inputs_came()

    def _inputs_came(self) -> None:
        self.retention.look()
        self.agenda.once("stream", 1.0, self._run_stream)
        self.agenda.once("venue", 1.5, self._run_venue)

    def _run_ended(self) -> None:
        """Look at what a run leaves: other jobs' topics, timers, attempts and unsent messages."""
        self.retention.look()
        self.orchestrator.came()
        self.agenda.once("venue", 1.5, self._run_venue)
        self.agenda.once("clocks", 5.0, self.clocks.look)
        calls = self.topics.partitions(MARGIN_CALLS)[0]
        for record in calls[self._heard :]:
            self.customers.hear(orjson.loads(record.value or b"null"))
        self._heard = len(calls)

    # -- the programs that are always there

    def _program(self, name: str, body: Callable[[], None], over: Callable[[Process], None]) -> None:
        number = self._runs.get(name, 0)
        self._runs[name] = number + 1
        hit = self._interruptions.next(name, number)
        process = Process(name, None if hit is None else Interruption(max(1, hit.place)))
        process.away = _STARTS_AGAIN if hit is None or not hit.seconds else float(hit.seconds)

        def ended() -> None:
            self._interruptions.used(hit, process)
            over(process)

        process.on_end = ended
        self.processes.run(process, body)

    def _run_stream(self) -> None:
        if self.topics.is_away or self.agenda.now < self._stream_back_at:
            self.agenda.once(
                "stream", max(5.0, (self._stream_back_at - self.agenda.now) / 1_000), self._run_stream
            )
        elif self.stream.is_behind() and not self._awaits_person:
            self._program("margin_stream", self._batch, self._stream_ended)

    def _batch(self) -> None:
        self.processes.reach("before a batch")
        self.stream.run_batch()

    def _stream_ended(self, process: Process) -> None:
        if process.error is not None:
            self.note(f"margin_stream ended: {process.error!r:.150}")
            self.stream.forget()
            if isinstance(process.error, RecordsDeleted):
                self.person.call(PRICES)
                self._awaits_person = True
            else:
                self.agenda.once("stream", process.away, self._run_stream)
        elif self.stream.is_behind():
            self.agenda.once("stream", 1.0, self._run_stream)
        self.retention.look()
        self.orchestrator.came()

    def _run_venue(self) -> None:
        if self.agenda.now >= self._venue_back_at:
            self._program("venue", self._serve, self._venue_ended)

    def _serve(self) -> None:
        self.processes.reach("before it looks at the topics")
        if self._venue is None:
            self._venue = Service(self.jobs.bus())
        before = self._end_of(FILLS)
        self._venue.serve_once()
        if self._end_of(FILLS) != before:
            self.agenda.once("venue", 1.0, self._run_venue)

    def _venue_ended(self, process: Process) -> None:
        if process.error is not None:
            self.note(f"venue ended: {process.error!r:.150}")
            self._venue = None
            self._venue_back_at = self.agenda.now + int(1_000 * process.away)
            self.agenda.at(self._venue_back_at, self._inputs_came)
        self.busts.look()
        if self.stream.is_behind() and not self._awaits_person:
            self._inputs_came()
        self.orchestrator.came()

    # -- what the world is

    def _take_away(self, fault: Fault) -> None:
        until = self.agenda.now + 1_000 * fault.seconds
        self.note(f"no {fault.kind} for {fault.seconds} s")
        if fault.kind == "broker":
            self.topics.away_until = until
        elif fault.kind == "disk":
            self._full_until = until
        else:
            for provider in self.providers:
                provider.away_until = until
        self.agenda.at(until, self._run_ended)
        self.agenda.at(until, self._inputs_came)

    def _has_room(self) -> bool:
        return self.agenda.now >= self._full_until

    def _end_of(self, topic: str) -> int:
        return sum(len(log) for log in self.topics.partitions(topic))

    def _held(self, account_id: str) -> dict[str, float]:
        fills = [fill for fill in self.read(FILLS) if fill["account_id"] == account_id]
        splits = {s: (when, ratio) for s, (when, _, ratio) in self.market.splits.items()}
        held = true_books.shares(fills, splits, self.agenda.now)[account_id]
        return {symbol: float(shares) for symbol, shares in held.items()}
