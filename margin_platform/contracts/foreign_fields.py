"""Fields that no contract declares and that would change what a message means:
a side against the sign, another currency.

Others are dropped unread. These two cannot be: 100 shares with the side SELL are not a purchase, and 100
euros are not 100 dollars. Feeds call a side by many names, so the words of a sale and of a purchase are read
in any field that no contract declares; the codes of FIX, and long and short, only where the name says side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from margin_platform.contracts.refusals import BadEvent

_SIDES = frozenset({"buysell", "buysellindicator", "longshort", "bs"})
_SIDE_ENDS = ("side", "direction", "sidecode")
_SHORTS = frozenset({"isshort", "short"})  # flags
_CURRENCIES = frozenset({"currency", "ccy", "currencycode"})
_DOLLARS = frozenset({"USD", "US$", "$"})
# 2 and 5 as in FIX, tag 54
_SALE = frozenset({"SELL", "SLD", "SOLD", "SALE", "SELL_SHORT", "SELLSHORT", "SELL_TO_OPEN", "SELL_TO_CLOSE"})
_PURCHASE = frozenset({"BUY", "BOT", "BOUGHT", "PURCHASE", "BUY_TO_COVER", "BUY_TO_OPEN", "BUY_TO_CLOSE"})
_SELLS = _SALE | {"S", "SHORT", "SS", "2", "5", "6"}
_BUYS = _PURCHASE | {"B", "LONG", "COVER", "1", "3"}


def refuse_contradictions(event: Mapping[str, Any]) -> None:
    """Raise BadEvent for a side that contradicts the sign of qty, or a currency other than US dollars."""
    for name, value in event.items():
        written = name.lower().replace("_", "")  # as other systems write it: Side, BUY_SELL
        if written in _CURRENCIES and value is not None and str(value).strip().upper() not in _DOLLARS:
            raise BadEvent(name, value, "every amount is in US dollars")
        if event.get("qty") and _contradicts(written, value, sold=event["qty"] < 0):
            raise BadEvent(
                name, value, f"contradicts qty {event['qty']!r}: qty is signed, a sale is negative"
            )


def _contradicts(written: str, value: object, *, sold: bool) -> bool:
    """Report whether an undeclared field says the other side; written: its name without case and blanks."""
    if written in _SHORTS and isinstance(value, bool):
        return value and not sold
    if not isinstance(value, str | int) or isinstance(value, bool):
        return False
    said = str(value).strip().upper().replace(" ", "_").replace("-", "_")
    if written in _SIDES or written in _SHORTS or written.endswith(_SIDE_ENDS):
        return said in (_BUYS if sold else _SELLS)
    return said in (_PURCHASE if sold else _SALE)
