"""One wrong beta or volatility restricts no account: a figure out of proportion awaits a second one."""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.contracts.messages import BETAS, VOLATILITY
from tests.support.recorded import Replay

T = 1_704_816_000_000
FIELD = {BETAS: "beta", VOLATILITY: "volatility_annual"}


def _said(topic: str, *figures: float) -> Replay:
    replay = Replay("AAA")
    for n, figure in enumerate(figures):
        event: dict[str, Any] = {"symbol": "AAA", FIELD[topic]: figure, "timestamp": T + n}
        replay.take({"topic": topic, "event": event})
    return replay


def _known(replay: Replay, topic: str) -> float:
    market = replay.engine.market
    return float((market.beta if topic == BETAS else market.sigma)[0])


@pytest.mark.parametrize(
    ("topic", "known", "wrong"),
    [
        (BETAS, 1.2, 12.0),
        (BETAS, 1.2, -1.2),
        (BETAS, 0.5, 5.0),
        (BETAS, -1.0, 1.5),
        (BETAS, 3.0, 0.3),
        (BETAS, 0.0, 19.9),
        (VOLATILITY, 0.08, 8.0),
        (VOLATILITY, 0.05, 5.0),
        (VOLATILITY, 0.09, 9.9),
        (VOLATILITY, 0.1, 1.5),
    ],
)
def test_one_figure_out_of_proportion_is_set_aside_with_a_letter_and_two_are_taken(
    topic: str, known: float, wrong: float
) -> None:
    once, twice = _said(topic, known, wrong), _said(topic, known, wrong, wrong)
    assert (_known(once, topic), once.refused()) == (known, [(topic, FIELD[topic])])
    assert (_known(twice, topic), len(twice.dead)) == (wrong, 1)


@pytest.mark.parametrize(
    ("topic", "known", "new"),
    [
        (BETAS, 1.2, 3.1),
        (BETAS, -1.0, 1.0),
        (BETAS, 1.0, 0.0),
        (BETAS, 5.0, 6.9),
        (VOLATILITY, 0.2, 1.9),
        (VOLATILITY, 0.08, 0.95),
        (VOLATILITY, 1.5, 9.0),
        (VOLATILITY, 4.0, 0.1),
    ],
)
def test_what_a_market_does_from_one_figure_to_the_next_is_taken(
    topic: str, known: float, new: float
) -> None:
    replay = _said(topic, known, new)
    assert (_known(replay, topic), replay.dead) == (new, [])


def test_what_is_set_aside_is_known_after_a_restart() -> None:
    before, after = _said(BETAS, 1.0, 9.0), Replay("AAA")
    after.engine.restore(before.engine.to_state())
    after._offsets[BETAS] = 2
    after.take({"topic": BETAS, "event": {"symbol": "AAA", "beta": 9.1, "timestamp": T + 9}})
    assert (_known(after, BETAS), after.dead) == (9.1, [])
