"""Field types of decision events: ids and texts the store can keep, and the rows a notice, an order or a
decision is made from.

A reader takes these rows apart. A row of another shape would stop the reader, and with it every event behind
it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from margin_platform.contracts import bounds
from margin_platform.contracts.events.field_types import Kind, is_number, refuse_epoch_ms, whole
from margin_platform.contracts.events.figure_names import COMPONENTS
from margin_platform.contracts.events.vocabulary import CureAction, Side
from margin_platform.contracts.identity import PATTERN, refusal_of_id

LONGEST_KEY = 64  # characters of the platform's own ids: what the store keeps
_MOST_ATTEMPTS = 1_000_000
_NO_NUL = r"^[^\u0000]*$"  # Postgres refuses a NUL in a text
Reason = Callable[[object], str | None]


def _note(value: object) -> str | None:
    return "not a text" if not isinstance(value, str) else "holds a NUL" if "\0" in value else None


def _key(value: Any) -> str | None:
    if reason := _note(value):
        return reason
    if not value.strip():
        return "not a non-empty text"
    return f"longer than {LONGEST_KEY} characters" if len(value) > LONGEST_KEY else None


def _or_null(reason: Reason) -> Reason:
    return lambda value: None if value is None else reason(value)


def _fields(value: object, checks: Mapping[str, Reason]) -> str | None:
    """Return which field of a row is wrong, and why; a field that may be null may be missing."""
    if not isinstance(value, dict):
        return "not an object"
    for name, check in checks.items():
        if reason := check(value.get(name)):
            return f"{name} is {reason}"
    return None


def _rows(value: object, check: Reason) -> str | None:
    if not isinstance(value, list):
        return "not a list"
    return next((reason for reason in map(check, value) if reason), None)


def _position(value: object) -> str | None:
    return _fields(value, _POSITION)


def _positions(value: object) -> str | None:
    return _rows(value, _position)


def _cure(value: object) -> str | None:
    action = value.get("action") if isinstance(value, dict) else None
    if not isinstance(action, str) or action not in _ROW_OF_CURE:
        return f"action is not one of {', '.join(_ROW_OF_CURE)}"
    return _fields(value, _ROW_OF_CURE[action])


def _cures(value: object) -> str | None:
    return _rows(value, _cure)


def _components(value: object) -> str | None:
    return _fields(value, dict.fromkeys(COMPONENTS, _or_null(is_number)))


def _symbols(value: object) -> str | None:
    return _rows(value, refusal_of_id)


def _by_symbol(check: Reason) -> Reason:
    """Return the check of an object whose keys are any names, each with a value of one kind."""
    return lambda value: (
        _fields(value, dict.fromkeys(value, check)) if isinstance(value, dict) else "not an object"
    )


def _whole(value: object) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "not a whole number"


def _cents(value: object) -> str | None:
    return _rows(value, _whole)


def _cents_of_account(value: object) -> str | None:
    if not isinstance(value, list) or len(value) != 2:
        return "not a pair of cents and an account"
    return _whole(value[0]) or refusal_of_id(value[1])


_texts_by_symbol = _by_symbol(_note)
_times_by_symbol = _by_symbol(refuse_epoch_ms)
_shares_by_symbol = _by_symbol(is_number)
_shares_by_order = _by_symbol(_by_symbol(is_number))
_largest_by_column = _by_symbol(lambda value: _rows(value, _cents_of_account))
_POSITION: dict[str, Reason] = {
    "symbol": refusal_of_id,
    "qty": is_number,
    "price": _or_null(is_number),
    "price_timestamp": _or_null(refuse_epoch_ms),
}
_DEPOSIT: dict[str, Reason] = {"amount": is_number}
_TRADE: dict[str, Reason] = {"amount": is_number, "symbol": refusal_of_id, "qty": is_number}
_ROW_OF_CURE = {
    CureAction.DEPOSIT_CASH.value: _DEPOSIT,
    CureAction.DEPOSIT_STOCK.value: _DEPOSIT,
    CureAction.SELL.value: _TRADE,
    CureAction.BUY_TO_COVER.value: _TRADE,
}

_SYMBOL = {"type": "string", "pattern": PATTERN}
_NUMBER = {"type": ["number", "null"]}
_CENTS_OF_ACCOUNT = {
    "type": "array",
    "prefixItems": [{"type": "integer"}, _SYMBOL],
    "minItems": 2,
    "maxItems": 2,
}
_TIME = {"type": ["integer", "null"], "minimum": bounds.TIME[0], "exclusiveMaximum": bounds.TIME[1]}
_POSITION_ROW = {
    "type": "object",
    "required": ["symbol", "qty"],
    "properties": {"symbol": _SYMBOL, "qty": {"type": "number"}, "price": _NUMBER, "price_timestamp": _TIME},
}
_CURE_ROW = {
    "type": "object",
    "required": ["action", "amount"],
    "properties": {"action": {"enum": list(_ROW_OF_CURE)}, "amount": {"type": "number"}},
    "if": {"properties": {"action": {"enum": [side.value for side in Side]}}},
    "then": {"required": ["symbol", "qty"], "properties": {"symbol": _SYMBOL, "qty": {"type": "number"}}},
}

Key = Annotated[
    str,
    Kind(
        "text, at most 64 characters",
        _key,
        {"type": "string", "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$", "maxLength": LONGEST_KEY},
        _key,
    ),
]
Note = Annotated[str, Kind("text without a NUL", _note, {"type": "string", "pattern": _NO_NUL}, _note)]
Attempt = Annotated[int, *whole(f"whole number from 0 to {_MOST_ATTEMPTS:,}", 0, _MOST_ATTEMPTS)]
Request = Annotated[int, *whole(f"whole number from 1 to {_MOST_ATTEMPTS:,}", 1, _MOST_ATTEMPTS)]
Positions = Annotated[
    list[object],
    Kind(
        "array of positions: `symbol`, `qty`, and `price`, `price_timestamp` where known",
        _positions,
        {"type": "array", "items": _POSITION_ROW},
        _positions,
    ),
]
Cures = Annotated[
    list[object],
    Kind(
        "array of cures: `action`, `amount`, and `symbol`, `qty` of a trade",
        _cures,
        {"type": "array", "items": _CURE_ROW},
        _cures,
    ),
]
Components = Annotated[
    dict[str, object],
    Kind(
        "object of dollars, by part of the requirement",
        _components,
        {"type": "object", "properties": dict.fromkeys(COMPONENTS, _NUMBER)},
        _components,
    ),
]
Symbols = Annotated[
    list[object], Kind("array of symbols", _symbols, {"type": "array", "items": _SYMBOL}, _symbols)
]
Basis = Annotated[
    dict[str, object],
    Kind(
        "object: symbol to text",
        _texts_by_symbol,
        {"type": "object", "additionalProperties": {"type": "string"}},
        _texts_by_symbol,
    ),
]
Days = Annotated[
    dict[str, object],
    Kind(
        "object: symbol to epoch ms UTC",
        _times_by_symbol,
        {"type": "object", "additionalProperties": {"type": "integer"}},
        _times_by_symbol,
    ),
]
FilledByOrder = Annotated[
    dict[str, object],
    Kind(
        "object: order to symbol to signed shares",
        _shares_by_order,
        {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}},
        },
        _shares_by_order,
    ),
]
SharesBySymbol = Annotated[
    dict[str, object],
    Kind(
        "object: symbol to signed shares",
        _shares_by_symbol,
        {"type": "object", "additionalProperties": {"type": "number"}},
        _shares_by_symbol,
    ),
]
CentsList = Annotated[
    list[object],
    Kind("array of whole cents", _cents, {"type": "array", "items": {"type": "integer"}}, _cents),
]
LargestByColumn = Annotated[
    dict[str, object],
    Kind(
        "object: column to pairs of cents and account",
        _largest_by_column,
        {"type": "object", "additionalProperties": {"type": "array", "items": _CENTS_OF_ACCOUNT}},
        _largest_by_column,
    ),
]
