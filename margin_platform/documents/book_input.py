"""Books as JSON: the input of `margin evaluate`, `liquidate` and `whatif`, read strictly into the kernel's
columns.

A position's own figures win over the market's, so each distinct set of figures of a symbol becomes an
instrument row of its own. Every refusal names the field by its path and the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from margin_platform.contracts import bounds
from margin_platform.contracts.events.field_types import refusal_of_quantity
from margin_platform.contracts.identity import refusal_of_id
from margin_platform.contracts.refusals import InputError, refuse_unknown
from margin_platform.kernel.book import MARGIN_TYPES, Book
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import Policy, PolicyError, current_policy

__all__ = ["POSITION_FIELDS", "BookInput", "InputError", "loads", "parse"]


@dataclass(frozen=True)
class BookInput:
    """A parsed book: the kernel's inputs.

    A symbol with several sets of figures has several instrument rows.
    """

    book: Book
    market: Market
    policy: Policy


# number of a position or market row -> the range it may have
_NUMBERS: dict[str, tuple[float, float]] = {
    "price": bounds.PRICE,
    "beta": bounds.BETA,
    "sigma": bounds.ANNUAL_VOLATILITY,
    "up": bounds.MOVE_UP,
    "down": bounds.MOVE_DOWN,
    "etf_leverage": bounds.LEVERAGE,
    "long_rate": bounds.LONG_RATE,
    "short_rate": bounds.SHORT_RATE,
    "htb_addon": bounds.ADDON_RATE,
}
_Figures = dict[str, Any]  # fields of an `Instrument`
_GROUPS = ("class_group", "product_group", "portfolio_group", "issuer")
_MARKET_FIELDS = (*_NUMBERS, "volatility_tier", *_GROUPS, "marginable")
POSITION_FIELDS = ("symbol", "qty", "contracts", "multiplier", *_MARKET_FIELDS)
_ACCOUNT_FIELDS = ("account_id", "margin_type", "cash", "positions")
_DOCUMENT_FIELDS = ("accounts", "market", "policy", "scenarios")


def loads(text: str | bytes) -> object:
    """Parse JSON without NaN, infinities or a key given twice in one object. InputError where it is none."""

    def refuse(name: str) -> float:
        raise InputError("input", name, "not a number JSON knows")

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(
                twice, [value for name, value in pairs if name == twice], "given twice in one object"
            )
        return found

    def integer(digits: str) -> int:
        try:
            return int(digits)
        except ValueError as error:  # thousands of digits
            raise InputError("input", digits[:40], f"a number of {len(digits)} digits") from error

    try:
        return json.loads(text, parse_constant=refuse, parse_int=integer, object_pairs_hook=unique)
    except RecursionError as error:
        raise InputError("input", text[:40], "nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InputError(
            "input", error.doc[max(0, error.pos - 20) : error.pos + 20], f"not JSON ({error.msg})"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError("input", error.object[:40], "not UTF-8") from error


def parse(data: object, base: Policy | None = None, traded: Iterable[str] = ()) -> BookInput:
    """Return the kernel's inputs from a book document (DESIGN: command-line contracts).

    InputError names the first field refused.

    `traded`: symbols that may have no holder yet and still get an instrument row.
    """
    document = _mapping("input", data)
    refuse_unknown("", document, _DOCUMENT_FIELDS)
    policy = _policy(document, base or current_policy())
    market = {
        s: _market_row(f"market.{s}", row)
        for s, row in _mapping("market", document.get("market", {})).items()
    }
    rows = _list("accounts", document.get("accounts"))
    instruments: dict[Instrument, None] = {}
    accounts: list[tuple[str, float, int, list[tuple[Instrument, float]]]] = []
    seen: set[str] = set()
    prices: dict[str, object] = {}
    for number, row in enumerate(rows):
        account = _account(f"accounts[{number}]", row, market, seen, prices, policy)
        accounts.append(account)
        instruments.update(dict.fromkeys(i for i, _ in account[3]))
    held = {i.symbol for i in instruments}
    instruments.update(
        dict.fromkeys(Instrument(symbol=s, **market.get(s, {})) for s in sorted(set(traded) - held))
    )
    return _columns(list(instruments), accounts, policy)


def _columns(
    instruments: list[Instrument],
    accounts: list[tuple[str, float, int, list[tuple[Instrument, float]]]],
    policy: Policy,
) -> BookInput:
    try:
        market, order = Market.of(instruments), Market.order_of(instruments)
    except ValueError as error:
        raise InputError("positions", str(error), "groups do not nest") from error
    code = {instrument: n for n, instrument in enumerate(order)}
    book = Book.of(
        [(i, cash, kind, [(code[ins], qty) for ins, qty in held]) for i, cash, kind, held in accounts]
    )
    return BookInput(book, market, policy)


def _policy(document: dict[str, object], base: Policy) -> Policy:
    changes = dict(_mapping("policy", document.get("policy", {})))
    if document.get("scenarios") is not None:
        moves = _list("scenarios", document["scenarios"])
        changes["scenarios"] = [
            _number(f"scenarios[{n}]", move, *bounds.SCENARIO) for n, move in enumerate(moves)
        ]
    try:
        return base.override(changes)
    except PolicyError as error:
        raise InputError(error.field, error.value, error.reason) from error


def _market_row(path: str, row: object) -> _Figures:
    refuse_unknown(path, _mapping(path, row), _MARKET_FIELDS)
    return _figures(path, row, {})


def _account(
    path: str,
    row: object,
    market: dict[str, _Figures],
    seen: set[str],
    prices: dict[str, object],
    policy: Policy,
) -> tuple[str, float, int, list[tuple[Instrument, float]]]:
    account = _mapping(path, row)
    refuse_unknown(path, account, _ACCOUNT_FIELDS)
    account_id = _identity(f"{path}.account_id", account.get("account_id"))
    if account_id in seen:
        raise InputError(f"{path}.account_id", account_id, "account given twice")
    seen.add(account_id)
    kind = "REG_T" if account.get("margin_type") is None else account["margin_type"]
    if not isinstance(kind, str) or kind not in MARGIN_TYPES:
        raise InputError(f"{path}.margin_type", kind, f"not one of {', '.join(MARGIN_TYPES)}")
    cash = _number(f"{path}.cash", account.get("cash"), *bounds.MONEY)
    held = []
    for number, position in enumerate(_list(f"{path}.positions", account.get("positions", []))):
        where = f"{path}.positions[{number}]"
        held.append(_position(where, position, market, policy))
        _refuse_two_prices(where, _mapping(where, position), prices)
    return account_id, cash, MARGIN_TYPES[kind], held


def _refuse_two_prices(path: str, position: dict[str, object], prices: dict[str, object]) -> None:
    """Refuse a price that contradicts what an earlier position of the document says of the symbol.

    `prices`: the prices that positions have stated so far. Contracts have prices of their own.
    """
    symbol, price = str(position["symbol"]), position.get("price")
    if price is None or position.get("contracts"):
        return
    if (known := prices.setdefault(symbol, price)) != price:
        raise InputError(f"{path}.price", price, f"an earlier position has {symbol} at {known}")


def _position(
    path: str, row: object, market: dict[str, _Figures], policy: Policy
) -> tuple[Instrument, float]:
    position = _mapping(path, row)
    refuse_unknown(path, position, POSITION_FIELDS)
    symbol = _identity(f"{path}.symbol", position.get("symbol"))
    qty = _number(f"{path}.qty", position.get("qty"), *bounds.QUANTITY)
    if qty and (refusal := refusal_of_quantity(qty)):
        raise InputError(f"{path}.qty", position["qty"], refusal)
    figures = _figures(path, position, market.get(symbol, {}))
    contracts = _count(path, "contracts", position, 0.0, bounds.CONTRACTS)
    units = abs(contracts) * _count(path, "multiplier", position, 100.0, bounds.MULTIPLIER)
    if position.get("multiplier") is not None and "contracts" not in position:
        raise InputError(f"{path}.multiplier", position["multiplier"], "without contracts: qty counts shares")
    if units:  # for a long contract the minimum is never above its market value (4210(g)(7))
        worth = figures.get("price", np.inf) * qty if qty > 0 else np.inf
        charge = min(policy.portfolio_margin.contract_minimum * units, worth)
        if qty == 0:  # contracts that carry no shares of their own: nothing to value, only the minimum
            figures["price"], qty = 0.0, 1.0
        figures["minimum_charge"] = charge / abs(qty)
    return Instrument(symbol=symbol, **figures), qty


def _figures(path: str, row: object, given: _Figures) -> _Figures:
    """Return the instrument fields of a row over those already given by the market."""
    figures = dict(given)
    source = _mapping(path, row)
    for name, (low, high) in _NUMBERS.items():
        value = source.get(name)
        if value is not None:
            figures[name] = _number(f"{path}.{name}", value, low, high)
    if figures.get("price") in bounds.UNSET_PRICES:
        raise InputError(f"{path}.price", figures["price"], "a mark for no price, not a price")
    if figures.get("etf_leverage") == 0.0:
        raise InputError(f"{path}.etf_leverage", 0, "zero")
    if source.get("volatility_tier") is not None:
        figures["volatility_tier"] = _tier(f"{path}.volatility_tier", source["volatility_tier"])
    for name in _GROUPS:
        if source.get(name) is not None:
            figures[name] = _identity(f"{path}.{name}", source[name])
    if source.get("marginable") is not None:
        if not isinstance(source["marginable"], bool):
            raise InputError(f"{path}.marginable", source["marginable"], "not true or false")
        figures["marginable"] = source["marginable"]
    return figures


def _tier(path: str, value: object) -> int:
    if isinstance(value, bool) or value not in (0, 1, 2):
        raise InputError(path, value, "not one of 0, 1, 2")
    return int(value)


def _mapping(path: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InputError(path, value, "missing" if value is None else "not an object")
    return value


def _list(path: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise InputError(path, value, "missing" if value is None else "not a list")
    return value


def _identity(path: str, value: object) -> str:
    if reason := "missing" if value is None else refusal_of_id(value):
        raise InputError(path, value, reason)
    return str(value)


def _count(path: str, name: str, position: dict[str, object], absent: float, within: bounds.Range) -> float:
    value = position.get(name)
    return absent if value is None else _number(f"{path}.{name}", value, *within)


def _number(path: str, value: object, low: float, high: float) -> float:
    if value is None:
        raise InputError(path, value, "missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(path, value, "not a number")
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        number = np.inf
    if not np.isfinite(number):
        raise InputError(path, value, "not a finite number")
    if number < low:
        raise InputError(path, value, "not above 0" if number <= 0 < low else f"not at least {low:g}")
    if number > high:
        raise InputError(path, value, f"above {high:g}")
    return number
