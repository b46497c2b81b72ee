"""Dagster, simulated: it starts runs of the product's code, repeats what failed, and keeps no promise.

A job works on what came to its topic since it looked last. A run that fails is repeated three times, and is
asked for again where it failed for good. A run that a fault declares overtaken is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.contracts.offsets import Record, Span
from margin_platform.simulator.story import Fault
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.jobs import Work, is_relevant
from margin_platform.simulator.world.processes import Interruption, Interruptions, Process, Processes
from margin_platform.store.undecided import SpanLost

_LOOKS_AFTER = 2.0  # seconds between a record and the run that it starts
_REPEATED_AFTER = 10.0
_ASKED_AGAIN_AFTER = 60.0
_REPETITIONS = 3


@dataclass
class Job:
    """One job of one topic, or of the clock where it has none. name: as faults and the story name it."""

    name: str
    topic: str | None
    work: Work
    cursor: int = 0
    busy: int = 0
    looks: bool = False


@dataclass
class Orchestrator:
    """The jobs, and the faults of their runs. records: those of a topic of one partition; note: hears what
    happens; ended: called after each run; oldest: offset that a topic keeps; lost: hears of a topic that lost
    records unread.
    """

    agenda: Agenda
    processes: Processes
    faults: list[Fault]
    records: Callable[[str], list[Record]]
    note: Callable[[str], None]
    ended: Callable[[], None]
    oldest: Callable[[str], int]
    lost: Callable[[str], None]

    def __post_init__(self) -> None:
        """Begin without jobs."""
        self.jobs: list[Job] = []
        self._runs: dict[str, int] = {}
        self._off: dict[str, int] = {}
        self._interruptions = Interruptions(self.faults, ("death", "stall", "overtaken"))

    def add(self, name: str, topic: str | None, work: Work) -> Job:
        """Add a job."""
        self.jobs.append(Job(name, topic, work))
        return self.jobs[-1]

    def calm(self) -> None:
        """Let no fault happen to a run any more."""
        self._interruptions.end()
        self.faults.clear()

    def switch_off(self, topic: str, until: int) -> None:
        """Let a topic's sensors look at nothing until a time."""
        self._off[topic] = until

    def reset(self, topic: str, offset: int) -> None:
        """Let a topic's sensors go on with an offset."""
        for job in self.jobs:
            if job.topic == topic:
                job.cursor = max(job.cursor, offset)
                self.look(job)

    def look(self, job: Job, after: float = _LOOKS_AFTER) -> None:
        """Look soon whether a job has work; looks at one time are one."""
        if not job.looks:
            job.looks = True
            self.agenda.after(after, lambda: self._look(job))

    def came(self) -> None:
        """Look at every job of a topic that has new records."""
        for job in self.jobs:
            if job.topic is not None and len(self.records(job.topic)) > job.cursor:
                self.look(job)

    def ask(self, job: Job) -> None:
        """Start a run of a job without a topic, unless one works."""
        if not job.busy:
            self._start(job, None, 0)

    def _look(self, job: Job) -> None:
        job.looks = False
        if job.topic is None or job.busy:
            return
        if self.agenda.now < (on := self._off.get(job.topic, 0)):
            self.look(job, (on - self.agenda.now) / 1_000)
            return
        if job.cursor < (oldest := self.oldest(job.topic)):
            self.note(f"the sensor of {job.name} misses {job.topic} {job.cursor}-{oldest}")
            self.lost(job.topic)
            return
        new = self.records(job.topic)[job.cursor :]
        end = job.cursor + len(new)
        if not any(is_relevant(job.name, record) for record in new):
            job.cursor = end
        else:
            span = Span(job.topic, 0, job.cursor, end, f"simulated-{job.topic}")
            job.cursor = end
            self._start(job, span, 0)

    def _start(self, job: Job, span: Span | None, repetition: int) -> None:
        number = self._runs.get(job.name, 0)
        self._runs[job.name] = number + 1
        hit = self._interruptions.next(job.name, number)
        self._run(job, span, repetition, f"{job.name} run {number}", hit)
        if any((f.kind, f.what, f.at) == ("repeated", job.name, number) for f in self.faults):
            self.note(f"{job.name} run {number} is started twice")
            self._run(job, span, _REPETITIONS, f"{job.name} run {number}, again", None)

    def _run(self, job: Job, span: Span | None, repetition: int, name: str, hit: Fault | None) -> None:
        process = Process(name, None if hit is None else Interruption(hit.place, float(hit.seconds)))
        may_be_overtaken = hit is not None and hit.kind == "overtaken"
        job.busy += 1
        freed = False

        def free() -> None:
            nonlocal freed
            if not freed:
                freed = True
                job.busy -= 1
                self.look(job, 1.0)

        def overtaken() -> None:
            self._interruptions.used(hit, process)
            if may_be_overtaken and process.interruption is None:
                self.note(f"{name} is not waited for")
                free()

        def again() -> None:
            free()
            self._start(job, span, 1 if repetition >= _REPETITIONS else repetition + 1)

        def over() -> None:
            if process.error is None:
                self._interruptions.used(hit, process)
                free()
                self.ended()
                return
            self.note(f"{name} failed: {process.error!r:.150}")
            if isinstance(process.error, SpanLost):
                self.lost(MARGIN_STATUS)
            overtaken()
            last = repetition >= _REPETITIONS
            if last:
                free()
            self.agenda.after(_ASKED_AGAIN_AFTER if last else _REPEATED_AFTER, again)
            self.ended()

        process.on_stall, process.on_end = overtaken, over
        run_id = name.replace(" ", "-")
        self.processes.run(process, lambda: job.work(span, run_id))
