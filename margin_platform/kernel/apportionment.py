"""Round parts to whole cents so that they still sum to their published total:
the largest-remainder method.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.money import CENTS_PER_DOLLAR

Floats = NDArray[np.float64]

_NOISE_DIGITS = 6  # of a cent: what lies beyond is float64, and must not decide which part gets a cent


def apportioned(parts: Floats, total: Floats) -> Floats:
    """Round parts to whole cents that sum to a total.

    parts: dollars, (parts, rows); total: dollars in whole cents, (rows,). Every part is rounded down, and the
    cents that are missing go to the largest fractions, the first of equals. A row with an unknown part is
    NaN.
    """
    if not len(parts):
        return parts
    with np.errstate(invalid="ignore"):
        exact = _in_cents(parts)
        whole = np.floor(exact)
        each, left = np.divmod(np.rint(total * CENTS_PER_DOLLAR) - whole.sum(axis=0), len(parts))
        order = np.argsort(whole - exact, axis=0, kind="stable")
        rank = np.argsort(order, axis=0, kind="stable")
        return np.asarray((whole + each + (rank < left)) / CENTS_PER_DOLLAR + 0.0)


def apportioned_rows(parts: Floats, total: float) -> Floats:
    """Round the rows of one account, (rows,), to whole cents that sum to its total."""
    return apportioned(parts[:, None], np.array([total]))[:, 0]


def apportioned_table(parts: Floats, rows: Floats, columns: Floats) -> Floats:
    """Round a table, (rows, columns), to whole cents that sum to its totals both ways.

    rows, columns: the totals in whole cents; the two have one sum. Every part is rounded down, and each
    missing cent goes to the largest fraction whose row and column both miss one: a part that is not zero, if
    there is one.
    """
    if not parts.size or np.isnan(parts).any():
        return parts
    exact = _in_cents(parts)
    found = np.floor(exact)
    in_rows = np.rint(rows * CENTS_PER_DOLLAR) - found.sum(axis=1)
    in_columns = np.rint(columns * CENTS_PER_DOLLAR) - found.sum(axis=0)
    fractions = exact - found
    while (open_cells := (in_rows > 0)[:, None] & (in_columns > 0)[None, :]).any():
        wanted = np.where(open_cells, fractions + (exact != 0), -np.inf)
        row, column = np.unravel_index(int(wanted.argmax()), wanted.shape)
        found[row, column] += 1
        fractions[row, column] -= 1
        in_rows[row] -= 1
        in_columns[column] -= 1
    return np.asarray(found / CENTS_PER_DOLLAR + 0.0)


def _in_cents(dollars: Floats) -> Floats:
    return np.asarray(np.round(dollars * CENTS_PER_DOLLAR, _NOISE_DIGITS))
