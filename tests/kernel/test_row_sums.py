"""Rows added eight columns at once come to the very sums of adding number by number."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.kernel.sweep.compiled import kept_on_disk
from margin_platform.kernel.sweep.row_sums import ROW_COLUMNS, add_row, no_sums, sum_of


def _entry(rows: np.ndarray, which: np.ndarray, sizes: np.ndarray, found: np.ndarray) -> None:
    for again in range(len(found)):  # each from nothing
        sums = no_sums()
        for k in range(len(which)):
            add_row(sums, rows, np.uint64(which[k]), sizes[k])
        for column in range(ROW_COLUMNS):
            found[again, column] = sum_of(sums, column)


_summed = kept_on_disk(_entry)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-1e9, 1e9)), max_size=30), st.integers(0, 999))
def test_sums_are_those_of_adding_number_by_number(terms: list[tuple[int, float]], seed: int) -> None:
    rows = np.random.default_rng(seed).normal(0, 100, (5, ROW_COLUMNS))
    rows[1, 2], rows[3, 0] = np.nan, 0.0
    expected = [0.0] * ROW_COLUMNS
    for row, size in terms:
        expected = [total + float(rows[row, n]) * size for n, total in enumerate(expected)]
    found = np.empty((2, ROW_COLUMNS))
    which, sizes = (np.array([term[n] for term in terms], dtype=kind) for n, kind in enumerate((int, float)))
    _summed(rows, which, sizes, found)
    assert found.tobytes() == np.array([expected, expected]).tobytes()
