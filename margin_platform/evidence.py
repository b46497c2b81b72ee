"""Evidence: a status event carries all its inputs, so its number can be rebuilt by the kernel, and its cures worked out.

Used where a decision is made (what would cure it), told (the notice) and questioned (`margin explain`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from margin_platform import cures
from margin_platform.book_json import BookInput, parse
from margin_platform.evaluate import Margin, evaluate
from margin_platform.events import Event
from margin_platform.money import cents
from margin_platform.policy import Policy

COMPONENTS = ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon", "cap_adjustment")


def rebuilt(status: Event, policy: Policy) -> tuple[BookInput, Margin]:
    """The kernel's inputs and figures of a margin.status.v1 event, from the event alone. InputError where it is incomplete."""
    account = {k: status.get(k) for k in ("account_id", "cash", "margin_type", "positions")}
    given = parse({"accounts": [account]}, policy)
    return given, evaluate(given.book, given.market, given.policy, detail=True)


@dataclass(frozen=True)
class Cure:
    """One way to cure a deficiency on its own. action: DEPOSIT_CASH, DEPOSIT_STOCK, SELL, BUY_TO_COVER; amount: dollars."""

    action: str
    amount: float
    symbol: str | None = None
    rate: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if v is not None}


def cures_of(status: Event, policy: Policy) -> list[Cure]:
    """What cures the deficiency of a status event, cheapest first; empty where there is none (MARGIN_RULES 7.3, 7.6).

    Sales are at the mark and at today's rate of each name, and listed only where the position is large enough; a name's rate
    moves when an add-on falls away, which `margin liquidate` works out exactly.
    """
    deficiency = cents(max(0.0, -(status.get("excess") or 0.0)))
    if deficiency <= 0:
        return []
    stock_rate = policy.maintenance.long_rate
    in_stock = cents(cures.securities_deposit_needed(deficiency, stock_rate))
    found = [Cure("DEPOSIT_CASH", deficiency), Cure("DEPOSIT_STOCK", in_stock, None, stock_rate)]
    given, margin = rebuilt(status, policy)
    trades = []
    for k, code in enumerate(given.book.symbol):
        value = abs(float(given.book.quantity[k] * given.market.price[code]))
        rate = float(margin.position_requirement[k]) / value if value else 0.0
        if rate > 0 and deficiency / rate <= value:
            side = "SELL" if given.book.quantity[k] > 0 else "BUY_TO_COVER"
            trades.append(Cure(side, cents(cures.sale_needed(deficiency, rate)), given.market.symbols[code], round(rate, 6)))
    return found + sorted(trades, key=lambda c: c.amount)
