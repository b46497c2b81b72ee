"""The ladder under any sequence of figures, clock ticks and repetitions,
held to the rules of MARGIN_RULES 7 read a second time.

The machine keeps its own simple account of what was decided and judges each new decision by it; it never
looks into the ladder's state except to compare the two at the end of a step.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import Decision, DecisionKind, LadderState
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
RULES = POLICY.ladder
MINUTE = 60_000
START = 1_582_295_400_000  # 2020-02-21 09:30 New York, a session
HOLIDAYS = {
    dt.date(2020, 4, 10),
    dt.date(2020, 5, 25),
    dt.date(2020, 7, 3),
    dt.date(2020, 9, 7),
    dt.date(2020, 11, 26),
}
GROSS, REQUIREMENT = 100_000.0, 30_000.0
LINES = [  # dollars and cents, as the rules compare them
    round(line, 2)
    for line in (
        0.0,
        RULES.warn_frac * GROSS,
        (RULES.warn_frac + RULES.warn_hysteresis) * GROSS,
        -RULES.severe_deficiency * REQUIREMENT,
    )
]
excesses = st.sampled_from(
    [round(line + step, 2) for line in LINES for step in (-500.0, -0.01, 0.0, 0.01, 500.0)]
) | st.integers(-4_000_000, 2_000_000).map(lambda c: c / 100)
# minutes; the last is beyond any due time
pauses = st.sampled_from([0, 1, 14, 15, 16, 29, 30, 31, 200, 390, 900, 1_440, 6_000])
corrections = st.sampled_from([None, None, 0, 60, 9_000])  # minutes back to the withdrawn print
held_reasons = st.sampled_from([None, None, None, "stale or missing price: X", "implausible price of X"])


class LadderMachine(RuleBasedStateMachine):
    """One account's life."""

    @initialize()
    def begin(self) -> None:
        self.state, self.now = LadderState("a"), START
        self.inputs: list[tuple[str, Any]] = []
        self.written: list[bytes] = []
        self.seen: list[Observation] = []
        self.decisions: list[Decision] = []
        self.call: dict[str, Any] | None = None  # the open call as its decisions describe it
        self.episodes: set[str] = set()
        self.warned = self.close_only = self.stressed = self.underwater = False
        self.clear_since: int | None = None
        self.held: str | None = None

    @rule(minutes=pauses, excess=excesses, underwater=st.booleans(), held=held_reasons, corrected=corrections)
    def figures_arrive(
        self, minutes: int, excess: float, underwater: bool, held: str | None, corrected: int | None
    ) -> None:
        self._time_passes(minutes)
        since = 0 if corrected is None else self.now - corrected * MINUTE
        seen = Observation(
            "a",
            self.now,
            excess + REQUIREMENT,
            GROSS,
            REQUIREMENT,
            excess,
            underwater,
            held,
            corrected is not None,
            since,
            calc_id=f"c{len(self.seen)}",
        )
        self.seen.append(seen)
        before = self.state
        decisions = self._take("step", seen)
        if held:
            assert [d.kind for d in decisions] == ([] if self.held == held else [DecisionKind.HELD])
            assert self.state.to_dict() | _MOVED == before.to_dict() | _MOVED  # nothing but the hold itself
            self.held = held
            return
        assert ([DecisionKind.RELEASED] if self.held else []) == [
            d.kind for d in decisions if d.kind == DecisionKind.RELEASED
        ]
        self.held = None
        if underwater:
            self.clear_since = None
        elif self.stressed and self.clear_since is None:
            self.clear_since = self.now
        self._judge([d for d in decisions if d.kind != DecisionKind.RELEASED], seen)
        self.underwater = underwater
        self._whatever_is_due_was_decided()
        assert (self.call is not None) == (excess < 0)
        if self.call is not None:
            assert self.state.call.outstanding == -excess  # type: ignore[union-attr]
            withdrawn = seen.corrected and self.call["issued_at"] >= seen.corrected_since
            assert self.call["issued"] == -excess or (self.call["issued"] > -excess and not withdrawn)
        assert not underwater or self.state.restricted
        if self.call is None:
            assert self.warned or excess >= LINES[1]
            assert not self.warned or excess < LINES[2]

    @rule(minutes=pauses)
    def the_clock_moves(self, minutes: int) -> None:
        self._time_passes(minutes)

    def _time_passes(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        decisions = self._take("tick", self.now)
        if self.held:
            assert decisions == ()
            return
        self._judge(decisions, None)
        self._whatever_is_due_was_decided()

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 10_000))
    def an_event_is_replayed(self, which: int) -> None:
        """The newest one again, or one older than it: known by its id or by its time."""
        old = self.seen[which % len(self.seen)]
        if old is not self.seen[-1] and old.timestamp == self.seen[-1].timestamp:
            # of two events of one millisecond only the transport (the source's offset) knows the repeated one
            old = self.seen[-1]
        before = self.state
        assert self._take("step", old) == ()
        assert self.state == before

    @invariant()
    def the_most_severe_rung_shows(self) -> None:
        expected = (
            "LIQUIDATION"
            if self.call and self.call["liquidations"]
            else "CLOSE_ONLY"
            if self.close_only or self.stressed
            else "MARGIN_CALL"
            if self.call
            else "WARNING"
            if self.warned
            else "ACTIVE"
        )
        assert self.state.status == expected
        assert self.state.restricted == (self.close_only or self.stressed)

    @invariant()
    def the_open_call_is_the_one_that_was_issued(self) -> None:
        found = self.state.call
        assert (
            (found.call_id, found.due_at, found.issued)
            == (self.call["id"], self.call["due"], self.call["issued"])
            if (found and self.call)
            else found is self.call is None
        )

    def teardown(self) -> None:
        """The same inputs from the start, with the state through JSON at each step:
        byte for byte the same decisions.

        And where the clock is not read between the events, the same again: only those after the last
        event wait for a look.
        """
        state = LadderState("a")
        for (kind, given), expected in zip(self.inputs, self.written, strict=True):
            state, decisions = getattr(ladder, kind)(
                LadderState.from_dict(json.loads(json.dumps(state.to_dict()))), given, POLICY
            )
            assert _bytes(decisions) == expected
        state, seldom = LadderState("a"), list[Decision]()
        for given in self.seen:
            for kind, what in (("tick", given.timestamp), ("step", given)):
                state, decisions = getattr(ladder, kind)(state, what, POLICY)
                seldom += decisions
        seldom += ladder.tick(state, self.now, POLICY)[1]
        assert _bytes(tuple(seldom)) == _bytes(tuple(self.decisions))

    def _take(self, kind: str, given: Any) -> tuple[Decision, ...]:
        self.state, decisions = getattr(ladder, kind)(self.state, given, POLICY)
        self.inputs.append((kind, given))
        self.written.append(_bytes(decisions))
        self.decisions += decisions
        assert all(d.account_id == "a" for d in decisions)
        assert kind == "tick" or all(d.timestamp == self.now for d in decisions)
        assert [d.timestamp for d in self.decisions] == sorted(d.timestamp for d in self.decisions)
        return decisions  # type: ignore[no-any-return]

    def _judge(self, decisions: tuple[Decision, ...] | list[Decision], seen: Observation | None) -> None:
        assert len({d.kind for d in decisions}) == len(decisions)
        for decision in decisions:
            getattr(self, f"_{decision.kind.lower()}")(decision, seen)

    def _warning(self, made: Decision, seen: Observation) -> None:
        assert not self.warned
        assert self.call is None
        assert 0 <= seen.excess < LINES[1]
        self.warned, self.warned_at = True, made.timestamp

    def _recovered(self, made: Decision, seen: Observation) -> None:
        assert self.warned
        assert made.began_at == self.warned_at
        assert seen.excess >= LINES[2]
        self.warned = False

    def _call(self, made: Decision, seen: Observation) -> None:
        assert self.call is None
        assert made.call_id not in self.episodes
        assert made.due_at is not None
        assert made.due_at > made.timestamp
        assert made.amount == -seen.excess > 0
        self.episodes.add(str(made.call_id))
        self.call = {
            "id": made.call_id,
            "opened": self.now,
            "due": made.due_at,
            "issued": made.amount,
            "issued_at": self.now,
            "expired": False,
            "liquidations": 0,
            "liquidated": None,
        }
        self.warned = False

    def _call_increased(self, made: Decision, seen: Observation) -> None:
        assert self.call is not None
        assert (made.call_id, made.due_at, made.amount) == (self.call["id"], self.call["due"], -seen.excess)
        assert made.amount > self.call["issued"]
        self.call |= {"issued": made.amount, "issued_at": self.now}

    def _call_restated(self, made: Decision, seen: Observation) -> None:
        assert self.call is not None
        assert (made.call_id, made.due_at, made.amount) == (self.call["id"], self.call["due"], -seen.excess)
        assert 0 < made.amount < self.call["issued"]
        assert seen.corrected
        assert self.call["issued_at"] >= seen.corrected_since
        self.call |= {"issued": made.amount, "issued_at": self.now}

    def _closed(self, made: Decision, seen: Observation) -> None:
        assert self.call is not None
        assert made.call_id == self.call["id"]
        assert seen.excess >= 0
        rested_on_it = seen.corrected and self.call["opened"] >= seen.corrected_since
        assert (made.kind == DecisionKind.RESCINDED) == rested_on_it
        self.call, self.close_only = None, False

    _call_cured = _rescinded = _closed

    def _close_only(self, made: Decision, seen: Observation | None) -> None:
        assert self.call is not None
        assert not self.close_only
        assert made.timestamp == self._due(made.timestamp)
        assert _traded_minutes(self.call["opened"], made.timestamp) >= RULES.close_only_after_minutes
        assert _traded_minutes(
            self.call["opened"], made.timestamp - MINUTE
        ) < RULES.close_only_after_minutes or (made.timestamp == self.seen[-1].timestamp)
        self.close_only = True

    def _call_expired(self, made: Decision, seen: Observation | None) -> None:
        assert self.call is not None
        assert not self.call["expired"]
        assert made.timestamp == self._due(self.call["due"])
        self.call["expired"] = True

    def _liquidate(self, made: Decision, seen: Observation | None) -> None:
        assert self.call is not None
        assert self.close_only
        last = next(s for s in reversed(self.seen) if not s.held)
        severe = last.excess < LINES[3] or last.equity < RULES.equity_floor
        at = made.timestamp
        assert _is_open(at)
        assert at >= self.call["due"] or severe or self.call["liquidations"]
        assert made.attempt == self.call["liquidations"] + 1
        assert (
            self.call["liquidated"] is None
            or at - self.call["liquidated"] >= RULES.liquidation_retry_minutes * MINUTE
        )
        self.call["liquidations"], self.call["liquidated"] = made.attempt, at

    def _stress_restriction(self, made: Decision, seen: Observation) -> None:
        assert seen.severe_underwater
        assert not self.stressed
        self.stressed = True

    def _stress_released(self, made: Decision, seen: Observation | None) -> None:
        assert self.stressed
        assert self.clear_since is not None
        assert _traded_minutes(self.clear_since, made.timestamp) >= RULES.stress_release_minutes
        assert _traded_minutes(self.clear_since, made.timestamp - MINUTE) < RULES.stress_release_minutes or (
            made.timestamp == self.seen[-1].timestamp
        )
        self.stressed, self.clear_since = False, None

    def _lifted(self, made: Decision, seen: Observation | None) -> None:
        assert not self.close_only
        assert not self.stressed

    def _due(self, at: float) -> float:
        """When something due at a time is decided: then, or with the figures that ended a hold."""
        return max(at, self.seen[-1].timestamp)

    def _whatever_is_due_was_decided(self) -> None:
        """No timer is overdue after the clock was looked at, and the next one lies ahead."""
        if self.call is not None:
            assert self.close_only == (
                _traded_minutes(self.call["opened"], self.now) >= RULES.close_only_after_minutes
            )
            assert self.call["expired"] == (self.now >= self.call["due"])
            assert (
                not (self.call["expired"] and self.close_only)
                or self.call["liquidations"]
                or not _is_open(self.now)
            )
        deadline = ladder.next_deadline(self.state, POLICY)
        assert deadline is None or deadline > self.now


def _is_open(at: float) -> bool:
    """New York's market hours as one knows them, without the exchange's calendar:
    no half day falls within the machine's months.
    """
    local = dt.datetime.fromtimestamp(at / 1000, ZoneInfo("America/New_York"))
    return (
        local.weekday() < 5 and local.date() not in HOLIDAYS and dt.time(9, 30) <= local.time() <= dt.time(16)
    )


def _traded_minutes(first: float, last: float) -> int:
    """Whole minutes of trading between two times, counted one by one,
    up to those that make an account close-only.
    """
    minutes, at = 0, int(first)
    while at + MINUTE <= last and minutes < RULES.close_only_after_minutes:
        minutes += _is_open(at) and _is_open(at + MINUTE)
        at += MINUTE
    return minutes


_MOVED = {"held": None, "held_at": None, "last_time": 0, "last_calc_id": ""}


def _bytes(decisions: tuple[Decision, ...]) -> bytes:
    return json.dumps([asdict(d) for d in decisions], sort_keys=True).encode()


TestLadder = LadderMachine.TestCase
TestLadder.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
