"""The ladder states of a run: the live ladder's state of each account with something open, and its timers
on the run's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from margin_platform.ladder.ladder import next_deadline, step, tick
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import Decision, LadderState
from margin_platform.policy.policy import Policy


class LadderStates:
    """States by account number.

    An account without anything open is dropped: a later breach starts a new episode anyway.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._states: dict[int, LadderState] = {}
        self._deadlines: dict[int, int] = {}

    def observe(self, number: int, seen: Observation) -> tuple[Decision, ...]:
        """Take one step of the ladder."""
        state = self._states.get(number) or LadderState(seen.account_id)
        state, decisions = step(state, seen, self._policy)
        self._keep(number, state)
        return decisions

    def tick(self, now: int) -> Iterator[tuple[int, Decision]]:
        """Fire every timer due up to a time, each at its own time, accounts in number order."""
        for number in sorted(n for n, at in self._deadlines.items() if at <= now):
            state, decisions = tick(self._states[number], now, self._policy)
            self._keep(number, state)
            for decision in decisions:
                yield number, decision

    def ask_again(self, number: int) -> None:
        """Let an open call that still needs a liquidation ask for it again,
        immediately or when the exchange next opens.
        """
        state = self._states.get(number)
        if state is not None and state.call is not None:
            self._keep(number, replace(state, asks_again=True))

    def close(self, number: int) -> None:
        """Drop an account that has left the run: nothing more is decided about it."""
        self._states.pop(number, None)
        self._deadlines.pop(number, None)

    def _keep(self, number: int, state: LadderState) -> None:
        if not (state.warned or state.call or state.restricted or state.held):
            self.close(number)
            return
        self._states[number] = state
        deadline = next_deadline(state, self._policy)
        if deadline is None:
            self._deadlines.pop(number, None)
        else:
            self._deadlines[number] = deadline
