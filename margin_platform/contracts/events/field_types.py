"""Field types: what a field of an event may hold.

Each carries its check, its JSON Schema and its words for the page of contracts.

msgspec checks types and ranges in C. What it cannot express is checked by `beyond` of the field's kind.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, UnsetType
from numpy.typing import NDArray

from margin_platform.contracts import bounds
from margin_platform.contracts.bounds import Range
from margin_platform.contracts.events.vocabulary import Side
from margin_platform.contracts.identity import PATTERN, refusal_of_id

FINEST_SHARE = 1e-6  # what a ledger keeps of a quantity
LEAST_MONEY = 0.005  # dollars: less rounds to no cent
_ROUNDING = 0.01  # the most that keeping it may change a quantity by
_LEAST_MARK = min(bounds.UNSET_PRICES)
Floats = NDArray[np.float64]
_SIDES = tuple(side.value for side in Side)


@dataclass(frozen=True)
class Kind:
    """One type of field.

    reason: why a value is refused, None where it is not. beyond: what msgspec's type does not check.
    all_sound: a quick look at many numbers; True only where `beyond` refuses none of them.
    """

    words: str
    reason: Callable[[object], str | None]
    schema: dict[str, object] = field(default_factory=dict, hash=False)
    beyond: Callable[[object], str | None] | None = None
    all_sound: Callable[[Floats], bool] | None = None


class Always:
    """Marks a field that is always published and that no reader depends on."""


ALWAYS = Always()


def is_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not a number"
    try:
        return None if math.isfinite(value) else "not a finite number"
    except OverflowError:  # a whole number of hundreds of digits
        return "not a finite number"


def _outside(value: float, within: Range) -> str | None:
    if value < within.low:
        return "not above zero" if value <= 0 < within.low else f"below {within.low:g}"
    return f"above {within.high:g}" if value > within.high else None


def _number(
    words: str,
    within: Range,
    also: Callable[[Any], str | None] | None = None,
    all_sound: Callable[[Floats], bool] | None = None,
    **schema: Any,
) -> tuple[Meta, Kind]:
    def reason(value: Any) -> str | None:
        return is_number(value) or _outside(value, within) or (also(value) if also else None)

    return (
        Meta(ge=within.low, le=within.high),
        Kind(
            words,
            reason,
            {"type": "number", "minimum": within.low, "maximum": within.high} | schema,
            beyond=also,
            all_sound=all_sound,
        ),
    )


def whole(words: str, low: int, high: int | None = None) -> tuple[Meta, Kind]:
    def reason(value: object) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"not a {words}"
        return f"not a {words}" if value < low or (high is not None and value > high) else None

    most = {} if high is None else {"maximum": high}
    return Meta(ge=low, le=high), Kind(words, reason, {"type": "integer", "minimum": low} | most)


def refuse_epoch_ms(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "not whole epoch milliseconds"
    if bounds.TIME[0] <= value < bounds.TIME[1]:
        return None
    unit = bounds.time_unit(value)
    where = (
        "not above zero" if value <= 0 else "before 1980" if value < bounds.TIME[0] else "after the year 2099"
    )
    return f"{where} as epoch milliseconds" + (f": these are {unit}" if unit and value > 0 else "")


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value.strip() else "not a non-empty text"


def _date(value: Any) -> str | None:
    try:
        day = dt.date.fromisoformat(value)
    except (TypeError, ValueError):
        return "not a date YYYY-MM-DD"
    if day.isoformat() != value:  # dates are compared as text
        return "not a date YYYY-MM-DD"
    return None if 1980 <= day.year < 2100 else "not a date of the years 1980 to 2099"


def refusal_of_quantity(value: float) -> str | None:
    """Return why a number cannot be signed shares, or None:
    zero, or a share finer than the platform keeps.
    """
    if value == 0:
        return "zero"
    kept = round(value / FINEST_SHARE) * FINEST_SHARE
    return None if abs(kept - value) <= abs(value) * _ROUNDING else f"finer than {FINEST_SHARE:g} of a share"


def _coarse(values: Floats) -> bool:
    """Report whether no quantity among these is near the finest share."""
    return float(np.abs(values).min()) * _ROUNDING >= FINEST_SHARE


def _transfer(value: float) -> str | None:
    if value == 0:
        return "zero"
    return "less than half a cent: it would book nothing" if abs(value) < LEAST_MONEY else None


def _of_cents(values: Floats) -> bool:
    """Report whether every amount among these books something."""
    return float(np.abs(values).min()) >= LEAST_MONEY


def _price(value: float) -> str | None:
    return "a mark for no price, not a price" if value in bounds.UNSET_PRICES else None


def _below_marks(values: Floats) -> bool:
    """Report whether all of these are below every mark for no price."""
    return float(values.max()) < _LEAST_MARK


def _list(value: object) -> str | None:
    return None if isinstance(value, list) else "not a list"


def _objects(value: Any) -> str | None:
    return _list(value) or (None if all(isinstance(row, dict) for row in value) else "not a list of objects")


def _holdings(value: object) -> str | None:
    named = isinstance(value, list) and all(
        isinstance(row, dict) and refusal_of_id(row.get("symbol")) is None for row in value
    )
    return None if named else _list(value) or "not a list of positions, each with its symbol"


def _legs(value: Any) -> str | None:
    if reason := _holdings(value):
        return reason
    sound = all(row.get("side") in _SIDES and _above_zero(row.get("qty")) for row in value)
    return None if sound else "not a list of legs, each with symbol, side and quantity"


def _above_zero(value: Any) -> bool:
    return is_number(value) is None and bool(value > 0)


def _contact(value: object) -> str | None:
    sound = isinstance(value, dict) and all(
        value.get(way) is None or isinstance(value[way], str) for way in ("email", "phone")
    )
    return None if sound else "not an object with an email and a phone as texts"


def _of_type(kind: type, reason: str) -> Callable[[object], str | None]:
    return lambda value: None if isinstance(value, kind) else reason


def one_of(names: tuple[str, ...]) -> Kind:
    """Return the kind of a field that holds one of these names."""
    return Kind(
        " / ".join(names),
        lambda value: None if value in names else f"not one of {', '.join(names)}",
        {"enum": list(names)},
    )


_LEG = {
    "type": "object",
    "required": ["symbol", "side", "qty"],
    "properties": {
        "symbol": {"type": "string", "pattern": PATTERN},
        "side": {"enum": list(_SIDES)},
        "qty": {"type": "number", "exclusiveMinimum": 0},
    },
}
_WAYS = {"type": "object", "properties": {way: {"type": ["string", "null"]} for way in ("email", "phone")}}
_ID_SCHEMA = {"type": "string", "pattern": PATTERN, "maxLength": bounds.LONGEST_ID}
_TIME_SCHEMA = {"type": "integer", "minimum": bounds.TIME[0], "exclusiveMaximum": bounds.TIME[1]}
_NOT_DUST = {"anyOf": [{"minimum": FINEST_SHARE / 2}, {"maximum": -FINEST_SHARE / 2}]}
_NOT_NOTHING = {"anyOf": [{"minimum": LEAST_MONEY}, {"maximum": -LEAST_MONEY}]}
_NOT_UNSET = {"not": {"enum": sorted(bounds.UNSET_PRICES)}}

Identity = Annotated[
    str, Kind("text of visible characters, at most 256", refusal_of_id, _ID_SCHEMA, refusal_of_id)
]
Text = Annotated[str, Kind("text", _text, {"type": "string", "pattern": r"\S"}, _text)]
Label = Annotated[str, Kind("text", _of_type(str, "not a text"), {"type": "string"})]
Date = Annotated[
    str,
    Kind("date YYYY-MM-DD", _date, {"type": "string", "pattern": r"^(19[89]|20\d)\d-\d{2}-\d{2}$"}, _date),
]
Flag = Annotated[bool, Kind("true / false", _of_type(bool, "neither true nor false"), {"type": "boolean"})]
EpochMs = Annotated[
    int, Meta(ge=bounds.TIME[0], lt=bounds.TIME[1]), Kind("epoch ms UTC", refuse_epoch_ms, _TIME_SCHEMA)
]
Whole = Annotated[int, *whole("whole number", -(2**63), 2**63 - 1)]
Sequence = Annotated[int, *whole("whole number from 0 up", 0)]
FillsRead = Annotated[
    Sequence | None | UnsetType,
    Meta(description="the positions know the account's fills before this offset of its partition"),
]
Tier = Annotated[int, *whole("whole number from 0 to 2", 0, 2)]
Price = Annotated[
    float, *_number("dollars a share, above 0", bounds.PRICE, _price, _below_marks, **_NOT_UNSET)
]
Quantity = Annotated[
    float, *_number("signed shares, not 0", bounds.QUANTITY, refusal_of_quantity, _coarse, **_NOT_DUST)
]
Amount = Annotated[
    float,
    *_number(
        "dollars, at least half a cent; booked to the cent",
        bounds.MONEY,
        _transfer,
        _of_cents,
        **_NOT_NOTHING,
    ),
]
Fee = Annotated[float, *_number("dollars; a rebate is negative", bounds.FEE)]
Beta = Annotated[float, *_number("number from -20 to 20", bounds.BETA)]
Volatility = Annotated[float, *_number("fraction from 0 to 10", bounds.ANNUAL_VOLATILITY)]
SplitRatio = Annotated[float, *_number("number from 0.00001 to 100,000", bounds.SPLIT_RATIO)]
SplitTerm = Annotated[int, *whole("whole number from 1 to 100,000", 1, 100_000)]
ActionAmount = Annotated[
    float, *_number("dollars a share, 0 or more", bounds.ACTION_AMOUNT, _price, **_NOT_UNSET)
]
Number = Annotated[float, *_number("number", bounds.FIGURE)]
Money = Annotated[float, *_number("dollars, cents", bounds.FIGURE)]
Objects = Annotated[
    list[dict[str, object]],
    Kind("array of objects", _objects, {"type": "array", "items": {"type": "object"}}),
]
Object = Annotated[dict[str, object], Kind("object", _of_type(dict, "not an object"), {"type": "object"})]
Legs = Annotated[
    list[dict[str, object]],
    Kind(
        "array of legs: `symbol`, `side` (SELL / BUY_TO_COVER), `qty` above 0",
        _legs,
        {"type": "array", "items": _LEG},
        _legs,
    ),
]
Contact = Annotated[dict[str, object], Kind("object", _contact, _WAYS, _contact)]
