"""The accounts that cause most of the firm's figures, as each tick names them: those of a plain sort."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.firm.account_cents import EXPOSURE, PNL, Kept, unsecured
from margin_platform.firm.sums import AccountSums
from margin_platform.firm.totals import TOP
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
MOVES = len(POLICY.stress.scenarios)
CENTS = st.integers(-60, 60).map(lambda n: n * 1000)  # few amounts, so that many tie


@st.composite
def ticks(draw: st.DrawFn) -> tuple[list[str], list[Any]]:
    """Names in some order, and the rows of their accounts at some ticks, which rise and fall."""
    accounts = draw(st.integers(0, 30))
    names = draw(st.permutations([f"A{n:02}" for n in range(accounts)]))
    rows = st.lists(CENTS, min_size=accounts * (PNL + MOVES), max_size=accounts * (PNL + MOVES))
    scale = st.sampled_from([0, 1, 1000])
    shaped = st.builds(
        lambda flat, by: np.array(flat, np.int64).reshape(accounts, PNL + MOVES) * by, rows, scale
    )
    return names, draw(st.lists(shaped, min_size=1, max_size=4))


@settings(deadline=None)  # the first one compiles
@given(ticks(), st.integers(1, 40))
def test_each_tick_names_the_accounts_of_a_plain_sort(
    given_ticks: tuple[list[str], list[Any]], room: int
) -> None:
    names, each = given_ticks
    shard = AccountSums(POLICY)
    shard._found = shard._found[:, :room]  # with room for few accounts above the line of the tick before
    for tick, rows in enumerate(each):
        spare = np.zeros((3, rows.shape[1]), dtype=np.int64)  # of accounts to come
        known = np.ones(len(rows) + 3, dtype=np.bool_)
        shard._kept = Kept(np.vstack([rows, spare]), known, known)
        found = shard.partial(0, 1, tick, 1, names)["top"]
        amounts = [np.abs(rows[:, EXPOSURE]), *(unsecured(rows, move) for move in range(MOVES))]
        for (column, top), of in zip(found.items(), amounts, strict=True):
            pairs = [(int(cents), name) for cents, name in zip(of, names, strict=True) if cents]
            assert top == sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:TOP], column
