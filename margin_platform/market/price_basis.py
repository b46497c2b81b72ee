"""The basis of a price: what a share carried before an ex-date, and a share of now does not.

A price of before an ex-date is put on the basis of now: less the day's dividends, divided by its splits. So
that what a dividend pays in cash leaves the mark at the same midnight, and equity moves by neither. What a
spin-off takes out of a share is not known before its first price. Pure: follows from the actions.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from math import log, prod
from typing import NamedTuple

from margin_platform.contracts.action_terms import WITH_AMOUNT, ActionKind
from margin_platform.contracts.messages import Event
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.trading_time.new_york import date_of

# epoch milliseconds of the ex-date, dollars paid on a share held before it, new shares for one old
Adjustment = tuple[int, float, float]
_NEVER = 1 << 62


_OUT_OF_PROPORTION = 10.0  # times the last price: cents for dollars are a hundred times


class Doubt(NamedTuple):
    """Why a dividend in effect may not be what it says.

    late: it is booked, and a print that its source confirms ends the doubt. Otherwise no price is less it.
    """

    adjustment: Adjustment
    reason: str
    late: bool


def out_of_proportion(action: Event, price: float) -> str | None:
    """Return why an announced amount cannot be what a share of this price is paid, or None.

    A holder gets no ten times the price, by a merger no tenth of it; a delisting may be worth nothing.
    """
    if not action.get("amount") or action["kind"] not in WITH_AMOUNT:
        return None
    times = action["amount"] / price
    if times > _OUT_OF_PROPORTION:
        return f"{times:,.0f} times the last price of {price:,.4f}: dollars a share are wanted"
    if action["kind"] == ActionKind.CASH_MERGER and times < 1.0 / _OUT_OF_PROPORTION:
        return f"1/{1.0 / times:,.0f} of the last price of {price:,.4f}: dollars a share are wanted"
    return None


def adjustments_of(actions: Iterable[CorporateAction]) -> list[Adjustment]:
    """Return what dividends and splits do to a price, in the order in which the actions are booked."""
    return [
        (action.effective, action.amount, float(action.ratio))
        for action in actions
        if action.kind in (ActionKind.DIVIDEND, ActionKind.SPLIT)
    ]


def spin_offs_of(actions: Iterable[CorporateAction]) -> list[int]:
    """Return the ex-dates of spin-offs, epoch milliseconds."""
    return [action.effective for action in actions if action.kind == ActionKind.SPIN_OFF]


def on_basis(price: float, since: int, adjustments: Iterable[Adjustment], until: int = _NEVER) -> float:
    """Return a price of one event time on the basis of a later one.

    A dividend that would leave nothing of it is passed over.
    """
    for effective, paid, ratio in adjustments:
        if since < effective <= until:
            price = (price - paid if paid < price else price) / ratio
    return price


def off_basis(price: float, since: int, adjustments: Sequence[Adjustment]) -> float:
    """Return the price as it was printed at an event time: the reverse of `on_basis`."""
    for effective, paid, ratio in reversed(adjustments):
        if since < effective:
            price = price * ratio + paid
    return price


def ratio_since(adjustments: Iterable[Adjustment], timestamp: int) -> float:
    """Return the new shares that one share of an event time has become."""
    return prod(ratio for effective, _, ratio in adjustments if timestamp < effective)


def doubts_of(
    symbol: str,
    printed: float,
    since: int,
    adjustments: Sequence[Adjustment],
    new: Container[Adjustment],
    large: float,
) -> list[Doubt]:
    """Return why dividends new in effect may not be what they say: one is no less than the price it is paid
    out of, or it is large and the prices of its ex-date were used before it was known.

    printed, since: the price in use as printed, and its event time; large: a part of the price.
    """
    found, price = list[Doubt](), printed
    for adjustment in adjustments:
        effective, paid, ratio = adjustment
        name = f"DIVIDEND of {symbol} on {date_of(effective)}: {paid:,.4f} a share"
        if since < effective:
            if paid >= price and adjustment in new:
                found.append(Doubt(adjustment, f"{name} is no less than its price of {price:,.4f}", False))
            price = (price - paid if paid < price else price) / ratio
        elif paid and adjustment in new:
            now = paid / ratio_since([a for a in adjustments if a[0] <= since], effective - 1)
            if now > large * (printed + now):
                found.append(Doubt(adjustment, f"{name} became known after the prices of its ex-date", True))
    return found


def unpaid(
    price: float, since: int, until: int, adjustments: Sequence[Adjustment], large: float, printed: float
) -> float:
    """Return the dollars of large dividends that a print does not bear out; 0 where it does, or none is.

    price, since: the price in use and its event time; printed, until: the print's. large: a part of the price
    with the dividends. A print that is nearer to the price with them than to the one without was not made by
    a market in which they were paid.
    """
    taken = [adjustment for adjustment in adjustments if since < adjustment[0] <= until]
    splits = [(effective, 0.0, ratio) for effective, _, ratio in taken]
    with_them = on_basis(off_basis(price, since, taken), since, splits)
    paid = with_them - price
    if paid <= large * with_them or abs(log(printed / with_them)) >= abs(log(printed / price)):
        return 0.0
    return paid
