"""Corporate actions: how a position comes about from its fills and its symbol's splits and dividends (MARGIN_RULES 1.2, 1.4)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from margin_platform.contracts.messages import Event
from margin_platform.ledger.fill_log import Timeline
from margin_platform.ledger.micros import MICRO, to_micros
from margin_platform.trading_time.new_york import NEW_YORK


@dataclass(frozen=True, order=True)
class CorporateAction:
    effective: int    # epoch milliseconds of midnight New York on the ex-date
    action_id: str
    kind: str
    figure: float     # split ratio (new shares for one old), or dividend in dollars a share
    post_price: float | None


def effective_time(action: Event) -> int:
    """Epoch milliseconds from which a corporate action counts: midnight in New York on its ex-date."""
    midnight = dt.datetime.combine(dt.date.fromisoformat(action["ex_date"]), dt.time(0), NEW_YORK)
    return int(midnight.timestamp() * 1000)


def fold(fills: Timeline, actions: Iterable[CorporateAction]) -> tuple[int, int]:
    """(micro-shares, micro-dollars) a position has come to: its fills and the symbol's corporate actions in event-time order.

    A dividend is accrued on the ex-date and a short pays it; a split keeps value, and where its post-split price is
    given the fraction left over is paid in cash (MARGIN_RULES 1.2, 1.4). OverflowError beyond what a ledger holds.
    """
    held = cash = at = 0
    for action in actions:
        while at < len(fills) and fills[at][0] < action.effective:
            held += fills[at][1]
            at += 1
        if action.kind == "DIVIDEND":
            cash += to_micros(held / MICRO * action.figure)
        else:
            held = to_micros(held / MICRO * action.figure)
            if action.post_price is not None:
                whole = int(held / MICRO) * MICRO
                cash += to_micros((held - whole) / MICRO * action.post_price)
                held = whole
    return held + sum(shares for _, shares in fills[at:]), cash
