"""Books as JSON: the input of `margin evaluate`, `liquidate` and `whatif`, read strictly into the kernel's
columns.

A position's own figures win over the market's, so each distinct set of figures of a symbol becomes an
instrument row of its own. Every refusal names the field by its path and the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from margin_platform.contracts import bounds
from margin_platform.contracts.refusals import InputError, refuse_unknown
from margin_platform.documents.account_input import (
    MARKET_FIELDS,
    POSITION_FIELDS,
    Account,
    AccountReader,
    Figures,
    figures_of,
    listed,
    mapping,
    number,
)
from margin_platform.kernel.book import Book
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
    document = mapping("input", data)
    refuse_unknown("", document, _DOCUMENT_FIELDS)
    policy = _policy(document, base or current_policy())
    market = {
        s: _market_row(f"market.{s}", row) for s, row in mapping("market", document.get("market", {})).items()
    }
    reader = AccountReader(policy, market)
    rows = listed("accounts", document.get("accounts"))
    accounts = [reader.read(f"accounts[{n}]", row) for n, row in enumerate(rows)]
    instruments = dict.fromkeys(instrument for account in accounts for instrument, _ in account[3])
    held = {i.symbol for i in instruments}
    instruments.update(
        dict.fromkeys(Instrument(symbol=s, **market.get(s, {})) for s in sorted(set(traded) - held))
    )
    return _columns(list(instruments), accounts, policy)


def _columns(instruments: list[Instrument], accounts: list[Account], policy: Policy) -> BookInput:
    order = _in_order(instruments)
    code = {id(instrument): n for n, instrument in enumerate(order)}
    return BookInput(Book.of([_coded(account, code) for account in accounts]), Market.apart([order]), policy)


def _in_order(instruments: Iterable[Instrument]) -> list[Instrument]:
    try:
        return Market.order_of(instruments)
    except ValueError as error:
        raise InputError("positions", str(error), "groups do not nest") from error


def _coded(account: Account, code: dict[int, int]) -> tuple[str, float, int, list[tuple[int, float]]]:
    """Return an account of codes; code: of each instrument, by identity, as equal ones are one."""
    account_id, cash, kind, held = account
    return account_id, cash, kind, [(code[id(instrument)], qty) for instrument, qty in held]


def parse_apart(accounts: Iterable[object], policy: Policy) -> tuple[BookInput, list[InputError | None]]:
    """Return accounts as one book in which none knows another's market: each has the figures that it has in a
    document of its own. And for each why it is left out of the book, None where it is in it. Fields that no
    book has are passed over.
    """
    known: dict[object, Instrument] = {}
    markets: list[list[Instrument]] = []
    held = []
    refused: list[InputError | None] = []
    first = 0
    for row in accounts:
        try:
            account = AccountReader(policy, {}, known, strict=False).read("accounts[0]", row)
            order = _in_order({id(instrument): instrument for instrument, _ in account[3]}.values())
        except InputError as error:
            refused.append(error)
            continue
        held.append(_coded(account, {id(instrument): n for n, instrument in enumerate(order, first)}))
        markets.append(order)
        refused.append(None)
        first += len(order)
    return BookInput(Book.of(held), Market.apart(markets), policy), refused


def _policy(document: dict[str, object], base: Policy) -> Policy:
    changes = dict(mapping("policy", document.get("policy", {})))
    if document.get("scenarios") is not None:
        moves = listed("scenarios", document["scenarios"])
        changes["scenarios"] = [
            number(f"scenarios[{n}]", move, *bounds.SCENARIO) for n, move in enumerate(moves)
        ]
    try:
        return base.override(changes)
    except PolicyError as error:
        raise InputError(error.field, error.value, error.reason) from error


def _market_row(path: str, row: object) -> Figures:
    refuse_unknown(path, mapping(path, row), MARKET_FIELDS)
    return figures_of(path, row, {})
