"""What liquidation orders have traded, as their fills say: a position may shrink for other reasons."""

from __future__ import annotations

from collections.abc import Mapping

from margin_platform.contracts.messages import Event
from margin_platform.ledger.micros import MICRO

_KEPT = 16  # orders of an account, the newest: one is done before the next is sent
Traded = dict[str, dict[str, int]]  # order -> symbol -> signed micro-shares


class OrderFills:
    """Shares by account, order and symbol."""

    def __init__(self, state: Mapping[str, Traded] | None = None) -> None:
        self._of: dict[str, Traded] = {
            account: {order: dict(traded) for order, traded in rows.items()}
            for account, rows in (state or {}).items()
        }

    def add(self, fill: Event, shares: int) -> None:
        """Count a fill, in micro-shares, to the order it names, if any.

        A bust takes nothing off: the order was executed, and does not work on. What it lacks then is another
        order's to trade.
        """
        if not fill.get("order_id") or fill.get("busts"):
            return
        orders = self._of.setdefault(fill["account_id"], {})
        traded = orders.setdefault(fill["order_id"], {})
        traded[fill["symbol"]] = traded.get(fill["symbol"], 0) + shares
        while len(orders) > _KEPT:
            orders.pop(next(iter(orders)))

    def of(self, account_id: str) -> dict[str, dict[str, float]]:
        """Return the signed shares by symbol of each of an account's newest orders."""
        orders = self._of.get(account_id, {})
        return {
            order: {symbol: shares / MICRO for symbol, shares in traded.items()}
            for order, traded in orders.items()
        }

    def to_state(self) -> dict[str, Traded]:
        """Return it as JSON."""
        return {
            account: {order: dict(traded) for order, traded in rows.items()}
            for account, rows in self._of.items()
        }
