"""Payouts: what leaves a share on an ex-date, so that a fall of its price is explained and no split.

A special dividend of 40 dollars takes a price of 100 to 60, and a spin-off may take half of it. Both have the
shape of a split that was not announced. Pure: follows from the actions.
"""

from __future__ import annotations

from collections.abc import Iterable

from margin_platform.contracts.action_terms import ActionKind
from margin_platform.ledger.corporate_actions import CorporateAction

# epoch milliseconds of the ex-date, dollars a share held before it; None: as much as a spin-off is worth
Payout = tuple[int, float | None]


def payouts_of(actions: Iterable[CorporateAction]) -> list[Payout]:
    """Return what dividends and spin-offs take out of a share."""
    return [
        (action.effective, action.amount if action.kind == ActionKind.DIVIDEND else None)
        for action in actions
        if action.kind in (ActionKind.DIVIDEND, ActionKind.SPIN_OFF)
    ]


def between(payouts: Iterable[Payout], since: int, until: int) -> list[Payout]:
    """Return the payouts after one event time and up to another."""
    return [payout for payout in payouts if since < payout[0] <= until]


def without_dividends(price: float, payouts: Iterable[Payout]) -> float:
    """Return a price less the dividends of these payouts; the price itself where nothing would be left."""
    left = price - sum(paid or 0.0 for _, paid in payouts)
    return left if left > 0.0 else price


def of_unknown_value(payouts: Iterable[Payout]) -> bool:
    """Return True where a spin-off is among them: how far the price falls is not known."""
    return any(paid is None for _, paid in payouts)
