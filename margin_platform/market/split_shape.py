"""The shape of a split: the ratio of small whole numbers that a jump of the price looks like."""

from __future__ import annotations

import math

_SHAPES = (1, 2)  # n for 1, n for 2; n for 3 would hold most true crashes
_OTHERS = ((5, 3),)
LEAST_SHAPE = 1.4  # a smaller jump is a price move: 4 for 3 is a fall of 25%
HAIR = 1e-9  # 135 / 100 - 1 is a hair above 0.35 in binary; the threshold itself is within


def split_terms(before: float, after: float, tolerance: float) -> tuple[int, int] | None:
    """Return the split, new shares for old ones, that would explain a change of price within a tolerance;
    None where there is none.

    Any ratio of small whole numbers counts, forward or reverse: n for 1, n for 2 and 5 for 3. A wrong unit
    (cents, pence) is 100 for 1.
    """
    larger, smaller = max(before, after), min(before, after)
    if smaller <= 0.0 or larger / smaller < LEAST_SHAPE:
        return None
    nearest = [(round(larger / smaller * old), old) for old in _SHAPES]
    for new, old in (*nearest, *_OTHERS):
        if math.gcd(new, old) != 1:
            continue
        terms = (new, old) if before > after else (old, new)
        if abs(after * terms[0] / (before * terms[1]) - 1.0) <= tolerance + HAIR:
            return terms
    return None


def split_shape(before: float, after: float, tolerance: float) -> str | None:
    """Return the same in words, e.g. 2:1 or 1:10."""
    terms = split_terms(before, after, tolerance)
    return None if terms is None else f"{terms[0]}:{terms[1]}"
