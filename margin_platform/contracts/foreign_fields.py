"""Fields that no contract declares and that would change what a message means:
a side against the sign, another currency.

Others are dropped unread. These two cannot be: 100 shares with the side SELL are not a purchase, and 100
euros are not 100 dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from margin_platform.contracts.refusals import BadEvent

_SIDES = frozenset({"side", "direction", "buysell", "orderside", "tradeside"})
_CURRENCIES = frozenset({"currency", "ccy", "currencycode"})
_DOLLARS = frozenset({"USD", "US$", "$"})
# 2 and 5 as in FIX, tag 54
_SELLS = frozenset({"SELL", "S", "SLD", "SHORT", "SELL_SHORT", "SELLSHORT", "SS", "2", "5"})
_BUYS = frozenset({"BUY", "B", "BOT", "LONG", "COVER", "BUY_TO_COVER", "1"})


def refuse_contradictions(event: Mapping[str, Any]) -> None:
    """Raise BadEvent for a side that contradicts the sign of qty, or a currency other than US dollars."""
    for name, value in event.items():
        written = name.lower().replace("_", "")  # as other systems write it: Side, BUY_SELL
        if written in _SIDES:
            said = str(value).strip().upper().replace(" ", "_")
            wrong = _SELLS if event.get("qty", 0) > 0 else _BUYS if event.get("qty", 0) < 0 else ()
            if said in wrong:
                raise BadEvent(
                    name, value, f"contradicts qty {event['qty']!r}: qty is signed, a sale is negative"
                )
        elif written in _CURRENCIES and value is not None and str(value).strip().upper() not in _DOLLARS:
            raise BadEvent(name, value, "every amount is in US dollars")
