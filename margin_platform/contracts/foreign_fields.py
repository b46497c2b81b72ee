"""Fields that no contract declares and that would change what a message means:
a side against the sign, another currency.

Others are dropped unread. These two cannot be: 100 shares with the side SELL are not a purchase, and 100
euros are not 100 dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from margin_platform.contracts.refusals import BadEvent

_SIDES = ("side", "direction")
_CURRENCIES = ("currency", "ccy")
# 2 and 5 as in FIX, tag 54
_SELLS = frozenset({"SELL", "S", "SLD", "SHORT", "SELL_SHORT", "SELLSHORT", "SS", "2", "5"})
_BUYS = frozenset({"BUY", "B", "BOT", "LONG", "COVER", "BUY_TO_COVER", "1"})


def refuse_contradictions(event: Mapping[str, Any]) -> None:
    """Raise BadEvent for a side that contradicts the sign of qty, or a currency other than US dollars."""
    for name in _SIDES:
        said = str(event.get(name)).strip().upper().replace(" ", "_")
        wrong = _SELLS if event.get("qty", 0) > 0 else _BUYS if event.get("qty", 0) < 0 else ()
        if name in event and said in wrong:
            raise BadEvent(
                name, event[name], f"contradicts qty {event['qty']!r}: qty is signed, a sale is negative"
            )
    for name in _CURRENCIES:
        if event.get(name) is not None and str(event[name]).strip().upper() not in ("USD", "US$", "$"):
            raise BadEvent(name, event[name], "every amount is in US dollars")
