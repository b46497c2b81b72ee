"""One account of a book document: its cash, its margin type, and its positions with their figures, read
strictly.

A position's own figures win over the market's. Every refusal names the field by its path and the value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from margin_platform.contracts import bounds
from margin_platform.contracts.events.field_types import refusal_of_quantity
from margin_platform.contracts.identity import refusal_of_id
from margin_platform.contracts.refusals import InputError, refuse_unknown
from margin_platform.kernel.book import MARGIN_TYPES
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import Policy

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
Figures = dict[str, Any]  # fields of an `Instrument`
_COARSE = 1.0  # shares from which none is finer than the platform keeps
_GROUPS = ("class_group", "product_group", "portfolio_group", "issuer")
MARKET_FIELDS = (*_NUMBERS, "volatility_tier", *_GROUPS, "marginable")
POSITION_FIELDS = ("symbol", "qty", "contracts", "multiplier", *MARKET_FIELDS)
_FIGURES = ("symbol", *MARKET_FIELDS)
_ACCOUNT_FIELDS = ("account_id", "margin_type", "cash", "positions")
Account = tuple[str, float, int, list[tuple[Instrument, float]]]  # id, cash, margin type, signed shares held


class AccountReader:
    """Reads the accounts of one document. Positions of the same figures share one instrument, checked once.

    market: symbol -> figures of those positions that do not state their own. known: the instruments of
    documents read before, under the same policy and market. strict: a field that no book has is refused;
    else it is passed over.
    """

    def __init__(
        self,
        policy: Policy,
        market: dict[str, Figures],
        known: dict[object, Instrument] | None = None,
        *,
        strict: bool = True,
    ) -> None:
        self._policy, self._market, self._strict = policy, market, strict
        self._known = {} if known is None else known
        self._accounts: set[str] = set()
        self._prices: dict[str, object] = {}  # what positions have stated of symbols so far

    def read(self, path: str, row: object) -> Account:
        """Return the account of a row. InputError names the first field refused."""
        account = mapping(path, row)
        if self._strict:
            refuse_unknown(path, account, _ACCOUNT_FIELDS)
        account_id = _identity(f"{path}.account_id", account.get("account_id"))
        if account_id in self._accounts:
            raise InputError(f"{path}.account_id", account_id, "account given twice")
        self._accounts.add(account_id)
        kind = "REG_T" if account.get("margin_type") is None else account["margin_type"]
        if not isinstance(kind, str) or kind not in MARGIN_TYPES:
            raise InputError(f"{path}.margin_type", kind, f"not one of {', '.join(MARGIN_TYPES)}")
        cash = number(f"{path}.cash", account.get("cash"), *bounds.MONEY)
        held = []
        for n, given in enumerate(listed(f"{path}.positions", account.get("positions", []))):
            where = f"{path}.positions[{n}]"
            position = mapping(where, given)
            if self._strict:
                refuse_unknown(where, position, POSITION_FIELDS)
            held.append(self._position(where, position))
            self._refuse_two_prices(where, position)
        return account_id, cash, MARGIN_TYPES[kind], held

    def _position(self, path: str, position: dict[str, object]) -> tuple[Instrument, float]:
        if position.get("contracts") is not None or position.get("multiplier") is not None:
            return self._contracts(path, position)
        values = tuple(map(position.get, _FIGURES))
        alike = values, tuple(map(type, values))  # True is no 1
        try:
            instrument = self._known.get(alike)
        except TypeError:  # a list or an object, which is refused
            instrument = None
        if instrument is None:
            symbol, qty, figures = self._parts(path, position)
            instrument = self._known[alike] = self._one(Instrument(symbol=symbol, **figures))
            return instrument, qty
        return instrument, _quantity(path, position)

    def _contracts(self, path: str, position: dict[str, object]) -> tuple[Instrument, float]:
        symbol, qty, figures = self._parts(path, position)
        contracts = _count(path, "contracts", position, 0.0, bounds.CONTRACTS)
        units = abs(contracts) * _count(path, "multiplier", position, 100.0, bounds.MULTIPLIER)
        if position.get("multiplier") is not None and "contracts" not in position:
            raise InputError(
                f"{path}.multiplier", position["multiplier"], "without contracts: qty counts shares"
            )
        if units:  # for a long contract the minimum is never above its market value (4210(g)(7))
            worth = figures.get("price", np.inf) * qty if qty > 0 else np.inf
            charge = min(self._policy.portfolio_margin.contract_minimum * units, worth)
            if qty == 0:  # contracts that carry no shares of their own: nothing to value, only the minimum
                figures["price"], qty = 0.0, 1.0
            figures["minimum_charge"] = charge / abs(qty)
        return self._one(Instrument(symbol=symbol, **figures)), qty

    def _one(self, instrument: Instrument) -> Instrument:
        """Return the same object for equal instruments."""
        return self._known.setdefault(instrument, instrument)

    def _parts(self, path: str, position: dict[str, object]) -> tuple[str, float, Figures]:
        symbol = _identity(f"{path}.symbol", position.get("symbol"))
        qty = _quantity(path, position)
        return symbol, qty, figures_of(path, position, self._market.get(symbol, {}))

    def _refuse_two_prices(self, path: str, position: dict[str, object]) -> None:
        """Refuse a price that contradicts what an earlier position of the document says of the symbol.
        Contracts have prices of their own.
        """
        symbol, price = str(position["symbol"]), position.get("price")
        if price is None or position.get("contracts"):
            return
        if (known := self._prices.setdefault(symbol, price)) != price:
            raise InputError(f"{path}.price", price, f"an earlier position has {symbol} at {known}")


def _quantity(path: str, position: dict[str, object]) -> float:
    given = position.get("qty")
    if type(given) is float and _COARSE <= abs(given) <= bounds.QUANTITY.high:
        return given  # as nearly all are
    qty = number(f"{path}.qty", position.get("qty"), *bounds.QUANTITY)
    if qty and (refusal := refusal_of_quantity(qty)):
        raise InputError(f"{path}.qty", position["qty"], refusal)
    return qty


def figures_of(path: str, row: object, given: Figures) -> Figures:
    """Return the instrument fields of a row over those already given by the market."""
    figures = dict(given)
    source = mapping(path, row)
    for name, (low, high) in _NUMBERS.items():
        value = source.get(name)
        if value is not None:
            figures[name] = number(f"{path}.{name}", value, low, high)
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


def mapping(path: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InputError(path, value, "missing" if value is None else "not an object")
    return value


def listed(path: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise InputError(path, value, "missing" if value is None else "not a list")
    return value


def _identity(path: str, value: object) -> str:
    if reason := "missing" if value is None else refusal_of_id(value):
        raise InputError(path, value, reason)
    return str(value)


def _count(path: str, name: str, position: dict[str, object], absent: float, within: bounds.Range) -> float:
    value = position.get(name)
    return absent if value is None else number(f"{path}.{name}", value, *within)


def number(path: str, value: object, low: float, high: float) -> float:
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
