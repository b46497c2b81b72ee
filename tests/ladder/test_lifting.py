"""A person lifts a restriction only where its reason is gone; the ladder agrees at the next event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from margin_platform.ladder import ladder, lifting
from margin_platform.ladder.lifting import LiftRefused
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
T = 1_582_295_400_000  # 2020-02-21 09:30 New York, a session


def _seen(state: LadderState, minute: int, *, excess: float = 9e4, severe: bool, held: str | None = None):
    at = T + minute * 60_000
    figures = Observation("A", at, 1e5, 1e5, 3e4, excess, severe, held, calc_id=f"k{minute}")
    return ladder.step(ladder.tick(state, at, POLICY)[0], figures, POLICY)


RESTRICTED = _seen(LadderState("A"), 0, severe=True)[0]
CLEAR = _seen(RESTRICTED, 1, severe=False)[0]


def test_a_stress_restriction_without_cause_is_lifted_before_its_release_time() -> None:
    assert CLEAR.restricted
    state, decisions = lifting.lift(CLEAR)
    assert not state.restricted
    assert [(d.kind, d.timestamp, d.began_at) for d in decisions] == [
        ("STRESS_RELEASED", T + 60_000, T),
        ("LIFTED", T + 60_000, T),
    ]
    assert ladder.next_deadline(state, POLICY) is None
    assert _seen(state, 2, severe=False)[1] == ()


def test_a_lifted_restriction_comes_back_with_its_reason() -> None:
    state, decisions = _seen(lifting.lift(CLEAR)[0], 2, severe=True)
    assert ([d.kind for d in decisions], state.restricted) == (["STRESS_RESTRICTION"], True)


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (LadderState("A"), "not restricted"),
        (RESTRICTED, "a severe SPY scenario is short of margin by the newest figures"),
        (_seen(CLEAR, 2, severe=False, held="stale price")[0], r"cannot be relied on \(stale price\)"),
        (
            _seen(_seen(CLEAR, 2, excess=-5.0, severe=False)[0], 40, excess=-5.0, severe=False)[0],
            "over 5.00 is not",
        ),
    ],
    ids=["active", "still short", "held", "open call"],
)
def test_a_restriction_whose_reason_persists_is_not_lifted(state: LadderState, named: str) -> None:
    before = replace(state)
    with pytest.raises(LiftRefused, match=named):
        lifting.lift(state)
    assert state == before
