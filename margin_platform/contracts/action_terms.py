"""The terms of a corporate action: its kinds, what each must carry, and what it does to a position.

Every figure is for one share held before the ex-date, so that several actions of one day need no agreement
about their order. A source that writes 0.3333 for a split means one share for three: counted with the
decimal, 300 shares would become 99.99.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from margin_platform.contracts.refusals import missing


class ActionKind(StrEnum):
    """Kinds in the order in which those of one day are booked.

    Entitlements of the shares held before it come first, then splits, then what ends a symbol.
    """

    DIVIDEND = "DIVIDEND"
    SPIN_OFF = "SPIN_OFF"
    SPLIT = "SPLIT"
    CASH_MERGER = "CASH_MERGER"
    STOCK_MERGER = "STOCK_MERGER"
    SYMBOL_CHANGE = "SYMBOL_CHANGE"
    DELISTING = "DELISTING"


class ActionStatus(StrEnum):
    """Whether an announcement holds."""

    ANNOUNCED = "ANNOUNCED"
    CANCELLED = "CANCELLED"


# After these nothing is left in the symbol.
ENDS = frozenset(
    {ActionKind.CASH_MERGER, ActionKind.STOCK_MERGER, ActionKind.SYMBOL_CHANGE, ActionKind.DELISTING}
)
RESHAPES = ENDS | {ActionKind.SPLIT}  # an earlier order counts in shares that no longer exist
WITH_RATIO = frozenset({ActionKind.SPLIT, ActionKind.SPIN_OFF, ActionKind.STOCK_MERGER})
WITH_AMOUNT = frozenset(
    {ActionKind.DIVIDEND, ActionKind.CASH_MERGER, ActionKind.STOCK_MERGER, ActionKind.DELISTING}
)
INTO_ANOTHER = frozenset({ActionKind.SPIN_OFF, ActionKind.STOCK_MERGER, ActionKind.SYMBOL_CHANGE})
_NEEDED = {
    ActionKind.SPLIT: ("ratio",),
    ActionKind.DIVIDEND: ("amount",),
    ActionKind.SPIN_OFF: ("new_symbol", "ratio"),
    ActionKind.SYMBOL_CHANGE: ("new_symbol",),
    ActionKind.CASH_MERGER: ("amount",),
    ActionKind.STOCK_MERGER: ("new_symbol", "ratio"),
    ActionKind.DELISTING: ("amount",),
}
_LEAST_PAID = 1e-6  # dollars a share
# a decimal that is exactly a fraction of such a denominator is meant as written: 0.05, 1.1, 0.125
_PLAIN = 20
_PERCENT = 2  # decimals of a stock dividend in percent: 1.07 is 107 shares for 100
_USUAL_OLD = 9  # 7 for 3, 5 for 4: old shares of a ratio that is not one new share for many old
_MOST_OLD = 100_000  # old shares for one new share
_MOST_DECIMALS = 6  # of a decimal that no usual ratio explains
_FULL_DECIMALS = 12  # of a computed factor, such as 1 / 0.49999: its rounding is below the finest share
_NO_SPLIT = "1 for 1 is no split: it changes nothing"
_SAME = 1e-9  # between a ratio and the fraction it is given with


def ratio_of(event: Mapping[str, Any]) -> Fraction:
    """Return new shares for old ones, as a fraction.

    ValueError explains why the decimal of a split stands for none.
    """
    if event.get("ratio_new") is not None:
        return Fraction(event["ratio_new"], event["ratio_old"])
    ratio = event.get("ratio")
    if ratio is None:
        return Fraction(1)
    if event["kind"] == ActionKind.SPLIT:
        return fraction(ratio)
    return Fraction(repr(float(ratio)))  # exchange ratios are decimals by contract


def problem(event: Mapping[str, Any]) -> tuple[str, object, str] | None:
    """Return field, value and reason of the first term that an action of its kind lacks or cannot have;
    None where all is said.
    """
    if event.get("status") == ActionStatus.CANCELLED:
        return None
    kind = event["kind"]
    if (event.get("ratio_new") is None) != (event.get("ratio_old") is None):
        return (
            ("ratio_old" if event.get("ratio_old") is None else "ratio_new"),
            None,
            "missing: a fraction has both",
        )
    for name in _NEEDED[kind]:
        given = event.get(name) is not None or (name == "ratio" and event.get("ratio_new") is not None)
        if not given:
            return name, *missing(name, event, f"missing for a {kind}")
    if kind in (ActionKind.DIVIDEND, ActionKind.CASH_MERGER) and event["amount"] < _LEAST_PAID:
        return "amount", event["amount"], f"not above zero for a {kind}"
    if kind in INTO_ANOTHER and event["new_symbol"] == event["symbol"]:
        return "new_symbol", event["symbol"], "the symbol itself"
    return _ratio_problem(event) if kind in WITH_RATIO else None


def _ratio_problem(event: Mapping[str, Any]) -> tuple[str, object, str] | None:
    new, old, ratio = (event.get(name) for name in ("ratio_new", "ratio_old", "ratio"))
    if new is not None and old is not None:
        differs = ratio is not None and abs(ratio * old / new - 1.0) > 0.5 * 10 ** -_digits(ratio) + _SAME
        if differs:
            return "ratio", ratio, f"not {new} for {old}"
    try:
        terms = ratio_of(event)
    except ValueError as error:
        return "ratio", ratio, str(error)
    if event["kind"] == ActionKind.SPLIT and terms == 1:  # it would cancel orders and explain no price
        return ("ratio", ratio, _NO_SPLIT) if new is None else ("ratio_new", new, _NO_SPLIT)
    return None


def _digits(ratio: float) -> int:
    """Count the digits behind the first one that a decimal gives, at least three: 0.33 is not compared with 1
    for 3 to the last digit.
    """
    text = repr(float(ratio)).replace(".", "").strip("0")
    return min(max(len(text) - 1, 1), 12)


def fraction(ratio: float) -> Fraction:
    """Return the ratio of a split, new shares for old ones.

    ValueError explains why a decimal stands for none, or for several.
    """
    written = Decimal(repr(float(ratio)))
    exact = Fraction(written)
    decimals = max(0, -int(written.normalize().as_tuple().exponent))
    if exact.numerator == 1 or exact.denominator <= _PLAIN:
        return exact
    meant = _usual(exact, decimals)
    if decimals <= _PERCENT:
        if meant:
            raise ValueError(
                f"may stand for {exact.numerator} for {exact.denominator} or {_words(meant[0])}: give "
                "ratio_new and ratio_old"
            )
        return exact
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise ValueError(
            f"may stand for {_words(meant[0])} or {_words(meant[1])}: give ratio_new and ratio_old"
        )
    if _MOST_DECIMALS < decimals < _FULL_DECIMALS:
        raise ValueError("the decimal of no ratio of whole numbers: give ratio_new and ratio_old")
    return exact


def as_written(ratio: float) -> tuple[int, int]:
    """Return the terms of a ratio that was booked before decimals were questioned:
    the fraction, or else the decimal itself.
    """
    try:
        return fraction(ratio).as_integer_ratio()
    except ValueError:
        return Fraction(repr(float(ratio))).as_integer_ratio()


def _words(ratio: Fraction) -> str:
    return f"{ratio.numerator} for {ratio.denominator}"


def _usual(exact: Fraction, decimals: int) -> list[Fraction]:
    """Return the usual ratios (at most two) that a decimal of so many places may stand for,
    rounded or cut off.
    """
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
