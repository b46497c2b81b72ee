"""The person on duty: does what docs/operations.md says of a loss to retention, once it is reported.

Nothing else is a person's: all other faults heal by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import OperationalError

from margin_platform.contracts.messages import MARGIN_STATUS, PRICES
from margin_platform.recordkeeping.left_undecided import leave_undecided
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.margin_stream import MarginStream
from margin_platform.simulator.world.topics import Topics
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store

_COMES_AFTER, _LOOKS_AGAIN_AFTER = 600.0, 60.0  # seconds


@dataclass
class Person:
    """On duty.

    stream: the margin stream; started: called once it is started again; reset: lets a topic's sensors begin
    with an offset; skipped: hears of the next status offset where some are left undecided.
    """

    agenda: Agenda
    topics: Topics
    store: Store
    stream: MarginStream
    started: Callable[[], None]
    reset: Callable[[str, int], None]
    skipped: Callable[[int], None]
    note: Callable[[str], None]
    _called: set[str] = field(default_factory=set)

    def call(self, topic: str) -> None:
        """Report that records of a topic were deleted before they were read."""
        if topic not in self._called:
            self._called.add(topic)
            self.agenda.after(_COMES_AFTER, lambda: self._come(topic))

    def _come(self, topic: str) -> None:
        self._called.discard(topic)
        if topic == PRICES:
            self.note("a person rebuilds the margin stream")
            self.stream.rebuild()
            self.started()
            self.agenda.after(_LOOKS_AGAIN_AFTER, self._restate)
            return
        oldest = self.topics.oldest(topic, 0)
        try:
            self._leave(topic, oldest)
        except OperationalError:  # the store's disk is full
            self.call(topic)
            return
        self.reset(topic, oldest)
        self._restate()

    def _restate(self) -> None:
        """Let the stream say where every account stands, once it has caught up."""
        if self.stream.is_behind():
            self.agenda.after(_LOOKS_AGAIN_AFTER, self._restate)
            return
        self.note("a person lets the margin stream restate every account")
        self.stream.restate()
        self.started()

    def _leave(self, topic: str, oldest: int) -> None:
        assert topic == MARGIN_STATUS
        with self.store.write() as connection:
            known = progress.of(connection, Consumer.ENFORCEMENT, topic, 0)
            if known is not None and known.next_offset >= oldest:
                return
            left = leave_undecided(
                connection, Consumer.ENFORCEMENT, topic, 0, oldest, who="desk", at=self.agenda.now
            )
        self.skipped(left.end)
        self.note(f"a person lets enforcement leave {left} undecided")
