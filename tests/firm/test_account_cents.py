"""What a shard keeps of its accounts for the firm's totals, and what a saved state says of it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from margin_platform.firm.account_cents import narrow, wide

MOVES = 3
CENTS = st.integers(-(10**12), 10**12)
ROW = st.tuples(CENTS, CENTS, CENTS, st.integers(0, 7), *[CENTS] * MOVES)


@given(st.lists(ROW, min_size=1, max_size=5))
def test_a_saved_row_says_what_the_account_adds_to_every_sum(rows: list[tuple[int, ...]]) -> None:
    saved = wide(np.array(rows, dtype=np.int64))
    for (exposure, net, equity, calls, *pnl), found in zip(rows, saved.tolist(), strict=True):
        lost = [max(0, -(equity + p)) for p in pnl]
        assert found == [exposure, abs(exposure), net, *pnl, *lost, *(calls >> s & 1 for s in range(MOVES))]
    assert wide(narrow(saved)).tolist() == saved.tolist()
