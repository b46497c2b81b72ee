"""Whole millionths of a dollar and of a share: what a ledger adds up, so that no sum depends on its order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MICRO = 1_000_000
MOST = 1e12  # dollars or shares of one figure: its millionths, and a sum of nine of them, fit 64 bits
_EXACT = 1 << 53  # integers up to here have a float64 of their own


def to_micros(amount: float) -> int:
    """Return dollars or shares as whole millionths, half away from zero: sums of them do not depend on their
    order.

    OverflowError names an amount that is not finite or beyond what a ledger holds.
    """
    if not abs(amount) <= MOST:
        raise OverflowError(f"more than a ledger holds, value {amount!r}")
    scaled = abs(amount) * MICRO + 0.5
    return int(scaled) if amount >= 0 else -int(scaled)


def from_micros(micros: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return millionths as dollars or shares, each as Python's division has it: rounded once."""
    found = micros / MICRO
    for n in np.flatnonzero(np.abs(micros) > _EXACT).tolist():
        found[n] = int(micros[n]) / MICRO
    return found
