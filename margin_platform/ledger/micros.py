"""Whole millionths of a dollar and of a share: what a ledger adds up, so that no sum depends on its order."""

from __future__ import annotations

MICRO = 1_000_000
MOST = 1e12  # dollars or shares of one figure: its millionths, and a sum of nine of them, fit 64 bits


def to_micros(amount: float) -> int:
    """Return dollars or shares as whole millionths, half away from zero: sums of them do not depend on their
    order.

    OverflowError names an amount that is not finite or beyond what a ledger holds.
    """
    if not abs(amount) <= MOST:
        raise OverflowError(f"more than a ledger holds, value {amount!r}")
    scaled = abs(amount) * MICRO + 0.5
    return int(scaled) if amount >= 0 else -int(scaled)
