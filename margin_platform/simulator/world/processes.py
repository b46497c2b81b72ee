"""Simulated processes: each runs the product's code, and may die or stall at the places that code passes.

A process that is to stall has a thread of its own, and only the one that has the turn runs: nothing depends
on how the machine schedules threads. A process that dies raises `Died`, which is no `Exception`: the
product's handlers do not see it, as they do not see a kill -9, and open transactions are rolled back, as the
database does.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from margin_platform.simulator.story import Fault
from margin_platform.simulator.world.agenda import Agenda

_Body = Callable[[], None]


class Died(BaseException):
    """The process was killed at a place."""


@dataclass
class Interruption:
    """What happens to a process at the nth place it passes: it dies, or stalls for some seconds."""

    place: int
    stalls: float = 0.0


class Interruptions:
    """The deaths and stalls of a story's processes, each at the first run from its number on that passes its
    place.
    """

    def __init__(self, faults: Sequence[Fault], kinds: Sequence[str]) -> None:
        """Keep the faults of these kinds."""
        self._left = [fault for fault in faults if fault.kind in kinds]

    def next(self, what: str, number: int) -> Fault | None:
        """Return a fault that waits for a run; those that no run has passed yet take turns."""
        waiting = [fault for fault in self._left if fault.what == what and fault.at <= number]
        return waiting[number % len(waiting)] if waiting else None

    def end(self) -> None:
        """Let nothing happen to a process any more."""
        self._left.clear()

    def used(self, fault: Fault | None, process: Process) -> None:
        """Note a fault that has happened to a process: it happens to no other."""
        if fault in self._left and process.interruption is None:
            self._left.remove(fault)


@dataclass
class Process:
    """One process, from its start to its end. error: why it ended, None where it ended well."""

    name: str
    interruption: Interruption | None = None
    passed: int = 0
    stalled: bool = False
    done: bool = False
    error: BaseException | None = None
    firing: int | None = None  # the time up to which it fires timers
    away: float = 0.0  # seconds until a program that died is started again
    on_stall: Callable[[], None] = lambda: None
    on_end: Callable[[], None] = lambda: None

    @functools.cached_property
    def turn(self) -> threading.Semaphore:
        """What the process's thread waits for: its turn."""
        return threading.Semaphore(0)

    @functools.cached_property
    def back(self) -> threading.Semaphore:
        """What the others wait for: the turn given back."""
        return threading.Semaphore(0)


class Processes:
    """Runs processes, one at a time."""

    def __init__(self, agenda: Agenda, note: Callable[[str], None]) -> None:
        """Keep the clock. note: hears of each death and stall."""
        self._agenda, self._note = agenda, note
        self.current: Process | None = None
        self._publisher: Process | None = None
        self.deaths = 0

    def run(self, process: Process, body: _Body) -> None:
        """Run a process until it ends or stalls; call its `on_end` when it has ended."""
        if process.interruption is None or not process.interruption.stalls:
            before, self.current = self.current, process
            self._attempt(process, body)
            self.current = before
            process.on_end()
            return
        threading.Thread(target=self._in_turn, args=(process, body), daemon=True).start()
        self._give_turn(process)

    def reach(self, place: str, *, may_stall: bool = True) -> None:
        """Pass a named place of the product's path: here the process that runs may die or stall.

        may_stall: False inside a transaction; a stall then comes at the next place.
        """
        process = self.current
        if process is None:
            return
        process.passed += 1
        due = process.interruption
        if due is None or process.passed < due.place or (due.stalls and not may_stall):
            return
        process.interruption = None
        if due.stalls:
            self._stall(process, place, due.stalls)
            return
        self._note(f"{process.name} is killed {place}")
        self.deaths += 1
        raise Died(place)

    def take_publishing_turn(self) -> None:
        """Become the only publisher. One that stalls in its turn goes on first."""
        while (holder := self._publisher) is not None and holder is not self.current:
            self._give_turn(holder)
        self._publisher = self.current

    def give_publishing_turn_back(self) -> None:
        """Let others publish."""
        self._publisher = None

    def _attempt(self, process: Process, body: _Body) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - a process takes no other with it
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            process.error = error
        process.done = True

    def _in_turn(self, process: Process, body: _Body) -> None:
        process.turn.acquire()
        self._attempt(process, body)
        process.back.release()

    def _give_turn(self, process: Process) -> None:
        before, self.current = self.current, process
        process.stalled = False
        process.turn.release()
        process.back.acquire()
        self.current = before
        if process.done:
            process.on_end()

    def _stall(self, process: Process, place: str, seconds: float) -> None:
        self._note(f"{process.name} stalls {seconds:g} s {place}")
        process.stalled = True
        self._agenda.after(seconds, lambda: self._go_on(process))
        self._agenda.after(0, process.on_stall)
        process.back.release()
        process.turn.acquire()

    def _go_on(self, process: Process) -> None:
        if process.stalled:
            self._give_turn(process)
