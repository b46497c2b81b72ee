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
from margin_platform.simulator.world.topics import Topics
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store

_COMES_AFTER = 600.0  # seconds


@dataclass
class Person:
    """On duty.

    rebuild: starts the margin stream with the topics' oldest records; reset: lets a topic's sensors begin
    with an offset; skipped: hears of the next status offset where some are left undecided.
    """

    agenda: Agenda
    topics: Topics
    store: Store
    rebuild: Callable[[], None]
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
            self.rebuild()
            return
        oldest = self.topics.oldest(topic, 0)
        try:
            self._leave(topic, oldest)
        except OperationalError:  # the store's disk is full
            self.call(topic)
            return
        self.reset(topic, oldest)
        self.rebuild()

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
