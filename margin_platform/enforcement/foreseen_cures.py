"""Decisions and ways to meet a call, worked out before the write transaction: others do not wait meanwhile.

A cure follows from a status event and the policy alone, a step of the ladder from the account's state too.
Both are foreseen from the states as they stand. Where another run changes a state in between, the transaction
works out what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import InputError
from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import Decision, DecisionKind, LadderState
from margin_platform.liquidation.cures import Cure, cures_of_each
from margin_platform.policy.policy import Policy
from margin_platform.store.unit_of_work import UnitOfWork

ASKS_FOR_CURE = (
    DecisionKind.CALL,
    DecisionKind.CALL_INCREASED,
    DecisionKind.CALL_RESTATED,
    DecisionKind.CALL_EXPIRED,
    DecisionKind.LIQUIDATE,
)
Cures = list[dict[str, object]]
CuresOf = Callable[[Event], Cures]


Step = tuple[LadderState, tuple[Decision, ...]]


class ForeseenCures:
    """The cures of events and the ladder's steps on them, each worked out once. Call it with an event."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[
            int, tuple[Event, Cures]
        ] = {}  # by identity; the event is kept so that it stays its own
        self._steps: dict[int, tuple[Event, LadderState, Step]] = {}

    def __call__(self, cause: Event) -> Cures:
        """Return the ways to meet a call that rests on a status event; none where a price is missing."""
        if id(cause) not in self._known:
            self._work_out([cause])
        return self._known[id(cause)][1]

    def step(self, state: LadderState, event: Event) -> Step:
        """Return the state after a status event, the very same where nothing changes, and the decisions."""
        known = self._steps.get(id(event))
        if known is not None and known[1] == state:
            after, decided = known[2]
            return (state if after is known[1] else after), decided
        found = ladder.step(state, Observation.from_status_event(event), self._policy)
        self._steps[id(event)] = event, state, found
        return found

    def foresee(self, connection: Connection, events: Sequence[Event]) -> None:
        """Work out the cures that these events will ask for, all at once, from the states as they stand."""
        asked: dict[int, Event] = {}
        states = UnitOfWork(connection, (event["account_id"] for event in events))
        for event in events:
            row = states.account(event["account_id"])
            if row.next_deadline is not None and row.next_deadline <= event["timestamp"]:
                row.state, decided = ladder.tick(row.state, event["timestamp"], self._policy)
                _note(asked, row.last_event or {}, decided)
            after, decided = self.step(row.state, event)
            if after is not row.state:
                row.last_event, row.state = event, after
                row.next_deadline = ladder.next_deadline(after, self._policy)
            _note(asked, row.last_event or {}, decided)
        self._work_out(list(asked.values()))

    def _work_out(self, causes: Sequence[Event]) -> None:
        for cause, cures in zip(causes, cures_of_each(causes, self._policy), strict=True):
            # a position without a price cannot be worked out; the call itself stands
            found: list[Cure] = [] if isinstance(cures, InputError) else cures
            self._known[id(cause)] = cause, [cure.to_dict() for cure in found]


def _note(asked: dict[int, Event], cause: Event, decided: Iterable[Decision]) -> None:
    if any(decision.kind in ASKS_FOR_CURE for decision in decided):
        asked[id(cause)] = cause
