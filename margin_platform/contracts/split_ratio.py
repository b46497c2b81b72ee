"""Split ratios: the fraction behind a decimal.

A source that writes 0.3333 means one share for three. Counted with the decimal, 300 shares would become 99.99.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

_PLAIN = 20            # a decimal that is exactly a fraction of such a denominator is meant as written: 0.05, 1.1, 0.125
_PERCENT = 2           # decimals of a stock dividend in percent: 1.07 is 107 shares for 100
_USUAL_OLD = 9         # 7 for 3, 5 for 4: old shares of a ratio that is not one new share for many old
_MOST_OLD = 100_000    # old shares for one new share
_MOST_DECIMALS = 6     # of a decimal that no usual ratio explains


def fraction(ratio: float) -> Fraction:
    """Return the ratio of a split, new shares for old ones. ValueError says why a decimal stands for none, or for several."""
    written = Decimal(repr(float(ratio)))
    exact = Fraction(written)
    decimals = max(0, -int(written.normalize().as_tuple().exponent))
    if exact.numerator == 1 or exact.denominator <= _PLAIN:
        return exact
    meant = _usual(exact, decimals)
    if decimals <= _PERCENT:
        if meant:
            raise ValueError(f"may stand for {exact.numerator} for {exact.denominator} or {_words(meant[0])}: give ratio_new and ratio_old")
        return exact
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ValueError(f"may stand for {_words(meant[0])} or {_words(meant[1])}: give ratio_new and ratio_old")
    if decimals > _MOST_DECIMALS:
        raise ValueError("the decimal of no ratio of whole numbers: give ratio_new and ratio_old")
    return exact


def as_written(ratio: float) -> tuple[int, int]:
    """Return the terms of a ratio that was booked before decimals were questioned: the fraction, or else the decimal itself."""
    try:
        return fraction(ratio).as_integer_ratio()
    except ValueError:
        return Fraction(repr(float(ratio))).as_integer_ratio()


def _words(ratio: Fraction) -> str:
    return f"{ratio.numerator} for {ratio.denominator}"


def _usual(exact: Fraction, decimals: int) -> list[Fraction]:
    """Return the usual ratios (at most two) that a decimal of so many places may stand for, rounded or cut off."""
    unit = Fraction(1, 10**decimals)
    low, high = exact - unit / 2 - Fraction(1, 10**17), exact + unit
    first, last = math.ceil(1 / high), math.floor(1 / low) if low > 0 else _MOST_OLD
    ones = range(first, min(last, _MOST_OLD, first + 2) + 1) if exact < 1 else range(0)
    found = {Fraction(1, old) for old in ones if Fraction(1, old) < high}
    for old in range(2, _USUAL_OLD + 1):
        new = math.ceil(low * old)
        if new > 0 and Fraction(new, old) < high:
            found.add(Fraction(new, old))
    return sorted(found)[:2]
