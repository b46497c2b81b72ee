"""Money: US dollars as float64 inside the kernel, rounded half-up to whole cents once, at the edge.

Quantities are shares, signed (long +, short -), kept to 1e-6 of a share. The kernel's columns are not
rounded; whatever leaves the process (a topic, the store, a screen) is, and every decision is taken on the
rounded figure, so that anyone can redo it from the published event (MARGIN_RULES section 10).
"""

from __future__ import annotations

import math
from typing import overload

import numba
import numpy as np
from numpy.typing import NDArray

CENTS_PER_DOLLAR = 100.0
SHARE_STEPS = 1_000_000.0
# A decimal half such as 2800.105 has no exact float64; without this nudge it would round down or up by
# chance. Above some ten million dollars the spacing of float64 is wider than the fixed part; one unit in the
# last place covers it there, and never more than a thousandth of a cent.
_HALF_NUDGE = 1e-6
_LAST_PLACE = 2.0**-52
_WIDEST_NUDGE = 1e-3
_NOISE = 1e-6  # dollars
ROUNDING_REACH = 0.02  # dollars from a line at which rounding to cents decides nothing


@numba.njit(nogil=True, cache=True, inline="always")
def whole_cents(amount: float) -> float:
    """Return dollars as a whole number of cents, rounded half-up (away from zero); NaN stays NaN."""
    # np.floor stays float64: no integer to overflow
    exact = abs(amount) * CENTS_PER_DOLLAR
    whole = np.floor(exact + 0.5 + _HALF_NUDGE + min(exact * _LAST_PLACE, _WIDEST_NUDGE))
    return math.copysign(whole, amount)


@numba.njit(nogil=True, cache=True, inline="always")
def round_cents(amount: float) -> float:
    """Round half-up (away from zero) to a cent; NaN stays NaN. The compiled twin every edge and decision
    shares."""
    return whole_cents(amount) / CENTS_PER_DOLLAR + 0.0


@numba.njit(nogil=True, cache=True, inline="always")
def exceeds(amount: float, line: float) -> bool:
    """Report whether an amount in whole cents lies beyond a line, such as a share of another.

    Equality is not beyond. Swap the arguments to ask for below. The line itself is not rounded. It
    differs from the exact product by the noise of float64 only, which decides nothing.
    """
    return amount - line > _NOISE


@numba.vectorize(["float64(float64)"], cache=True)
def _round_column(amount: float) -> float:
    return round_cents(amount)


@overload
def cents(amount: float) -> float: ...
@overload
def cents(amount: NDArray[np.float64]) -> NDArray[np.float64]: ...
def cents(amount: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
    """Round dollars half-up to whole cents; NaN (unknown) stays NaN.

    Scalar in, scalar out; column in, column out.
    """
    if not isinstance(amount, np.ndarray):
        return float(round_cents(float(amount)))
    with np.errstate(invalid="ignore"):  # comparing NaN raises a flag that means nothing here
        return np.asarray(_round_column(amount))


def cents_or_none(amount: float) -> float | None:
    """Return the figure for the wire: rounded, or None where it is unknown (JSON has no NaN)."""
    return None if math.isnan(amount) else cents(amount)


def shares(quantity: float) -> float:
    """Round a share quantity to 1e-6, half away from zero: the finest the platform keeps."""
    return math.copysign(math.floor(abs(quantity) * SHARE_STEPS + 0.5) / SHARE_STEPS, quantity) + 0.0
