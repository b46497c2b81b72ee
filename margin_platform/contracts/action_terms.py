"""The terms of a corporate action: which kinds there are, what each must say, and what it does to a position.

Every figure is for one share held before the ex-date, so that several actions of one day need no agreement about their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from margin_platform.contracts.split_ratio import fraction

SPLIT, DIVIDEND, SPIN_OFF = "SPLIT", "DIVIDEND", "SPIN_OFF"
SYMBOL_CHANGE, CASH_MERGER, STOCK_MERGER, DELISTING = "SYMBOL_CHANGE", "CASH_MERGER", "STOCK_MERGER", "DELISTING"
ANNOUNCED, CANCELLED = "ANNOUNCED", "CANCELLED"
# Kinds in the order in which those of one day are booked: entitlements of the shares held before it, then splits, then what ends a symbol.
KINDS = (DIVIDEND, SPIN_OFF, SPLIT, CASH_MERGER, STOCK_MERGER, SYMBOL_CHANGE, DELISTING)
ENDS = frozenset({CASH_MERGER, STOCK_MERGER, SYMBOL_CHANGE, DELISTING})   # nothing is left in the symbol
RESHAPES = ENDS | {SPLIT}        # an order of before is in shares that are there no more
WITH_RATIO = frozenset({SPLIT, SPIN_OFF, STOCK_MERGER})
WITH_AMOUNT = frozenset({DIVIDEND, CASH_MERGER, STOCK_MERGER, DELISTING})
INTO_ANOTHER = frozenset({SPIN_OFF, STOCK_MERGER, SYMBOL_CHANGE})
_NEEDED = {
    SPLIT: ("ratio",), DIVIDEND: ("amount",), SPIN_OFF: ("new_symbol", "ratio"), SYMBOL_CHANGE: ("new_symbol",), CASH_MERGER: ("amount",),
    STOCK_MERGER: ("new_symbol", "ratio"), DELISTING: ("amount",),
}
_LEAST_PAID = 1e-6   # dollars a share
_SAME = 1e-9   # between a ratio and the fraction it is given with


def ratio_of(event: Mapping[str, Any]) -> Fraction:
    """Return new shares for old ones, as a fraction. ValueError says why the decimal of a split stands for none."""
    if event.get("ratio_new") is not None:
        return Fraction(event["ratio_new"], event["ratio_old"])
    ratio = event.get("ratio")
    if ratio is None:
        return Fraction(1)
    return fraction(ratio) if event["kind"] == SPLIT else Fraction(repr(float(ratio)))   # exchange ratios are decimals by contract


def problem(event: Mapping[str, Any]) -> tuple[str, Any, str] | None:
    """Return field, value and reason of the first term that an action of its kind lacks or cannot have; None where all is said."""
    if event.get("status") == CANCELLED:
        return None
    kind = event["kind"]
    if (event.get("ratio_new") is None) != (event.get("ratio_old") is None):
        return ("ratio_old" if event.get("ratio_old") is None else "ratio_new"), None, "missing: a fraction has both"
    for name in _NEEDED[kind]:
        given = event.get(name) is not None or (name == "ratio" and event.get("ratio_new") is not None)
        if not given:
            return name, None, f"missing for a {kind}"
    if kind in (DIVIDEND, CASH_MERGER) and event["amount"] < _LEAST_PAID:
        return "amount", event["amount"], f"not above zero for a {kind}"
    if kind in INTO_ANOTHER and event["new_symbol"] == event["symbol"]:
        return "new_symbol", event["symbol"], "the symbol itself"
    return _ratio_problem(event) if kind in WITH_RATIO else None


def _ratio_problem(event: Mapping[str, Any]) -> tuple[str, Any, str] | None:
    new, old, ratio = (event.get(name) for name in ("ratio_new", "ratio_old", "ratio"))
    if new is not None and old is not None:
        differs = ratio is not None and abs(ratio * old / new - 1.0) > 0.5 * 10 ** -_digits(ratio) + _SAME
        return ("ratio", ratio, f"not {new} for {old}") if differs else None
    try:
        ratio_of(event)
    except ValueError as error:
        return "ratio", ratio, str(error)
    return None


def _digits(ratio: float) -> int:
    """How many digits behind the first one a decimal gives, at least three: 0.33 is not held against 1 for 3 to the last digit."""
    text = repr(float(ratio)).replace(".", "").strip("0")
    return min(max(len(text) - 1, 1), 12)
