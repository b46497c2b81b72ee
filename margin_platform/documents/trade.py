"""A trade as a person writes it: `AAPL:100`, `aapl:-100`, `SELL 100 AAPL`, `AAPL -100`.

The command line and the account page read it here. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from margin_platform.contracts.identity import refusal_of_id
from margin_platform.contracts.refusals import InputError

FORMS = "SYMBOL:SHARES, BUY SHARES SYMBOL or SELL SHARES SYMBOL"
_MOST_SHARES = 1e12
_SIDES = {"BUY": 1.0, "SELL": -1.0}


class Trade(NamedTuple):
    """A trade that has not happened. qty: shares, negative for a sale."""

    symbol: str
    qty: float


def read(text: str) -> Trade:
    """Return the trade that a text names.

    Where a side is written, the shares carry no sign. InputError names the text and why it is refused.
    """
    words = text.split()
    if words and words[0].upper() in _SIDES:
        if len(words) != 3:
            raise InputError("trade", text, f"not {FORMS}")
        shares, symbol = sorted(words[1:], key=_is_number, reverse=True)
        qty = _shares(text, shares)
        if qty < 0:
            raise InputError("trade", text, "a side and a sign: write one of them")
        return Trade(_symbol(text, symbol), _SIDES[words[0].upper()] * qty)
    parts = text.rsplit(":", 1) if ":" in text else words
    if len(parts) != 2 or not parts[0].strip():
        raise InputError("trade", text, f"not {FORMS}")
    return Trade(_symbol(text, parts[0].strip()), _shares(text, parts[1]))


def read_several(text: str) -> list[Trade]:
    """Return the trades of one line: parted by commas or semicolons, or by blanks where each has a colon.

    A comma between two digits belongs to a number. InputError names the first that is refused.
    """
    parts = [part for part in re.split(r"[;\n]|,(?!\d)", text) if part.strip()]
    split = [part.split() if all(":" in word for word in part.split()) else [part.strip()] for part in parts]
    return [read(one) for words in split for one in words]


def spelled_as(trade: Trade, is_known: Callable[[str], bool]) -> Trade:
    """Return the trade with its symbol in capitals where only that spelling is known."""
    capitals = trade.symbol.upper()
    return trade._replace(symbol=capitals) if not is_known(trade.symbol) and is_known(capitals) else trade


def _symbol(text: str, symbol: str) -> str:
    if reason := refusal_of_id(symbol):
        raise InputError("trade", text, reason)
    return symbol


def _shares(text: str, shares: str) -> float:
    if not _is_number(shares):
        raise InputError("trade", text, "shares are not a number")
    qty = float(shares.replace(",", ""))
    if not math.isfinite(qty) or qty == 0 or abs(qty) > _MOST_SHARES:
        raise InputError("trade", text, "shares are zero or not a usable number")
    return qty


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", ""))
    except ValueError:
        return False
    return True
