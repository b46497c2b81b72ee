"""The shape of a split in a change of price: the terms that would explain it."""

from __future__ import annotations

# new shares for old, as announced in practice; each stands for its reverse too
SPLITS = ((3, 2), (2, 1), (5, 2), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 1), (10, 1), (15, 1), (20, 1), (25, 1), (50, 1))
HAIR = 1e-9   # 135 / 100 - 1 is a hair above 0.35 in binary; the threshold itself is within


def split_terms(before: float, after: float, tolerance: float) -> tuple[int, int] | None:
    """The split, as new shares for old, that would explain a change of price within a tolerance; None where there is none."""
    both_ways = (terms for new, old in SPLITS for terms in ((new, old), (old, new)))
    return next(((new, old) for new, old in both_ways if abs(after * new / (before * old) - 1.0) <= tolerance + HAIR), None)


def split_shape(before: float, after: float, tolerance: float) -> str | None:
    """The same in words, e.g. 2:1 or 1:10."""
    terms = split_terms(before, after, tolerance)
    return None if terms is None else f"{terms[0]}:{terms[1]}"
