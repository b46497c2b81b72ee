"""What if: an account's book document after trades that have not happened, at the mark.

Pure; margin itself is the kernel's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from margin_platform.contracts.events.field_types import refusal_of_quantity
from margin_platform.contracts.json_object import Json
from margin_platform.documents.book_input import POSITION_FIELDS, InputError, parse
from margin_platform.documents.figures import evaluation
from margin_platform.documents.trade import Trade, spelled_as
from margin_platform.money import cents, shares
from margin_platform.policy.policy import Policy

# a symbol's figures (price, beta, sigma, groups), or None where nothing is known
Quote = Callable[[str], Json | None]


def after_trades(account: Json, trades: Sequence[Trade], cash: float, quote_of: Quote) -> Json:
    """Return the account (a row of a book document) after trades of signed shares at the mark and a transfer
    of dollars.

    A trade closes the side it can close before it opens one. InputError names a trade whose symbol has no
    price.
    """
    if account.get("cash") is None:
        raise InputError("cash", None, "unknown for this account")
    positions = [dict(p) for p in account.get("positions", [])]
    balance = float(account["cash"])
    for symbol, qty in as_known(account, trades, quote_of):
        if qty and (refusal := refusal_of_quantity(qty)):
            raise InputError("trade", qty, refusal)
        row = _row(positions, symbol, qty)
        if row is None:
            known = quote_of(symbol)
            if known is None:
                raise InputError("trade", symbol, "no price of this symbol is known")
            row = {name: known[name] for name in POSITION_FIELDS if name in known} | {
                "symbol": symbol,
                "qty": 0.0,
            }
            positions.append(row)
        price = row.get("price") or (quote_of(symbol) or {}).get("price")
        if not price:
            raise InputError("trade", symbol, "this symbol has no price now")
        if row.get("contracts"):
            raise InputError("trade", symbol, "held as contracts, which are not traded by shares")
        row["qty"] = shares(row["qty"] + qty)
        balance -= cents(qty * price)
    return {**account, "cash": cents(balance + cash), "positions": [p for p in positions if p["qty"] != 0]}


def as_known(account: Json, trades: Sequence[Trade], quote_of: Quote) -> list[Trade]:
    """Return trades with their symbols as the account or the market spells them."""
    held = {position.get("symbol") for position in account.get("positions", [])}
    return [
        spelled_as(trade, lambda symbol: symbol in held or quote_of(symbol) is not None) for trade in trades
    ]


def quotes(document: Json) -> dict[str, Json]:
    """Return each symbol's figures in a book document:
    its market row, completed by what positions state about it.
    """
    known: dict[str, Json] = {}
    for row in document["accounts"]:
        for position in row.get("positions", []):
            if not position.get("contracts"):
                known.setdefault(position["symbol"], {}).update(_given(position))
    for symbol, row in document.get("market", {}).items():
        known.setdefault(symbol, {}).update(_given(row))
    return known


def _given(row: Json) -> Json:
    return {name: value for name, value in row.items() if name not in ("symbol", "qty") and value is not None}


def _row(positions: list[Json], symbol: str, qty: float) -> Json | None:
    rows = [p for p in positions if p.get("symbol") == symbol]
    return next((p for p in rows if p["qty"] * qty < 0), rows[0] if rows else None)


def compared(
    document: Json, account_id: str, trades: Sequence[Trade], quote_of: Quote, policy: Policy | None = None
) -> Json:
    """Return every figure of an account of a book document before and after trades, and their difference.

    Raise InputError or LookupError.
    """
    before = parse(document, policy)
    number = next((n for n, row in enumerate(document["accounts"]) if row["account_id"] == account_id), None)
    if number is None:
        raise LookupError(account_id)
    account = document["accounts"][number]
    trades = as_known(account, trades, quote_of)
    changed = after_trades(account, trades, 0.0, quote_of)
    after = parse({**document, "accounts": [changed]}, policy)
    rows = evaluation(before)["accounts"][number], evaluation(after)["accounts"][0]
    return {
        "account_id": account_id,
        "policy_version": before.policy.version,
        "trades": [{"symbol": symbol, "qty": qty} for symbol, qty in trades],
        "before": rows[0],
        "after": rows[1],
        "delta": difference(*rows),
    }


def difference(before: Any, after: Any) -> Any:
    """Return after less before, figure by figure and rounded to cents; None where either is unknown or is no
    figure.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        names = [*before, *(name for name in after if name not in before)]
        # a symbol or group that is on one side only carries no requirement on the other
        return {
            name: difference(before.get(name, 0.0), after.get(name, 0.0))
            for name in names
            if _has_figures(before, after, name)
        }
    if isinstance(before, list) and isinstance(after, list):  # stress rows: the same scenarios on both sides
        return [
            difference(old, new) | {"scenario": old["scenario"]}
            for old, new in zip(before, after, strict=False)
        ]
    if _is_number(before) and _is_number(after):
        return cents(after - before)
    return None


def _has_figures(before: dict[str, object], after: dict[str, object], name: str) -> bool:
    values = [side[name] for side in (before, after) if name in side]
    return any(
        _is_number(v) or isinstance(v, dict) or (isinstance(v, list) and v and isinstance(v[0], dict))
        for v in values
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
