"""What an audit entry says of an account's standing stays true until the next decision,
whatever is seen in between.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.audit.records import Row, standing_of
from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
START = 1_582_295_400_000  # 2020-02-21 09:30 New York, a session
seen = st.tuples(
    st.sampled_from([0, 1, 15, 31, 400, 6_000]),  # minutes
    st.integers(-2_000_000, 2_000_000).map(lambda cents: cents / 100),
    st.booleans(),
    st.sampled_from([None, None, None, "stale or missing price: X", "implausible price of X"]),
)


def standing(state: LadderState) -> Row:
    return standing_of(state.status, state.restricted, state.to_dict())


@settings(deadline=None, max_examples=60)
@given(st.lists(seen, max_size=15))
def test_nothing_but_a_decision_moves_an_account_to_another_standing(
    life: list[tuple[int, float, bool, str | None]],
) -> None:
    state, now = LadderState("a"), START
    for n, (minutes, excess, underwater, held) in enumerate(life):
        now += minutes * 60_000
        figures = Observation(
            "a", now, 30_000.0 + excess, 100_000.0, 30_000.0, excess, underwater, held, calc_id=str(n)
        )
        for after, decisions in (
            ladder.tick(state, now, POLICY),
            ladder.step(ladder.tick(state, now, POLICY)[0], figures, POLICY),
        ):
            if not decisions:
                assert standing(after) == standing(state)
            state = after
