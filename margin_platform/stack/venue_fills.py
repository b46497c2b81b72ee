"""The fills that the simulated venue knows, by which no order of it takes a position through zero.

An order is sized on figures, and these may lack fills: the margin stream may be behind, in one partition
alone too. So the order names the offset of fills.v1 up to which its figures know the account's fills, and the
venue counts those from there on itself.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from margin_platform.contracts.messages import Event
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions

_MOST = 100_000  # accounts' symbols whose fills are kept: orders are young


class _Fill(NamedTuple):
    """order_id: of a fill made here; offset: None until it is read back from its topic."""

    fill_id: str
    order_id: str | None
    at: int
    qty: float
    offset: int | None

    def is_unknown_to(self, order: Event) -> bool:
        """Report whether the figures of an order do not count this fill.

        Of an order that names no offset the times must do.
        """
        read = order.get("fills_read")
        if self.order_id == order["order_id"]:
            return False
        if read is None:
            return self.order_id is None and self.at > int(order.get("timestamp") or 0)
        return self.offset is None or self.offset >= int(read)


class VenueFills:
    """Fills made at the venue and elsewhere, each once. actions: by which they count in later shares."""

    def __init__(self, actions: AnnouncedActions) -> None:
        self._actions = actions
        self._ids: set[str] = set()
        self._of: dict[tuple[str, str], list[_Fill]] = {}  # by account and symbol

    def __contains__(self, fill_id: str) -> bool:
        return fill_id in self._ids

    def add(self, event: Event, offset: int | None, *, is_own: bool) -> None:
        """Take a fill, or the bust of one: that counts once, and is no fill of an order. The first offset
        that is known of it counts.
        """
        place, busts = (event["account_id"], event["symbol"]), event.get("busts")
        name = f"bust of {busts}" if busts else event["fill_id"]
        fills = self._of[place] = self._of.pop(place, [])  # those of the longest ago come first
        if name not in self._ids:
            self._ids.add(name)
            order_id = event.get("order_id") if is_own and not busts else None
            fills.append(_Fill(name, order_id, int(event["timestamp"]), float(event["qty"]), offset))
        else:
            for n, fill in enumerate(fills):
                if fill.fill_id == name and fill.offset is None:
                    fills[n] = fill._replace(offset=offset)
        if len(self._of) > _MOST:
            self._of.pop(next(iter(self._of)))

    def within_position(self, order: Event, leg: Event) -> Event:
        """Return a leg cut to what the position can have left."""
        held = (order.get("held_before") or {}).get(leg["symbol"])
        if held is None:
            return leg
        fills = self._of.get((order["account_id"], leg["symbol"]), [])
        at = int(order.get("timestamp") or 0)
        left = held + sum(
            fill.qty * self._grown(leg["symbol"], fill.at, at) for fill in fills if fill.is_unknown_to(order)
        )
        return leg | {"qty": min(leg["qty"], max(0.0, left if held > 0 else -left))}

    def _grown(self, symbol: str, since: int, until: int) -> float:
        """Return what one share of an event time has become by another."""
        ratios = (a.ratio for a in self._actions.splits(symbol) if since < a.effective <= until)
        return float(math.prod(ratios))
