"""The words of a notice: who writes, what must be disclosed, and amounts, holdings and cures in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margin_platform.contracts.events.vocabulary import CureAction, Side
from margin_platform.contracts.messages import Event
from margin_platform.dollars import format_dollars
from margin_platform.trading_time.new_york import written_time

QUESTIONS_TO = "your broker's margin desk"
_LEGS_IN_A_TEXT = 3

# The points of the margin disclosure statement, for a notice that asks for money or announces a sale.
# Source: FINRA Rule 2264(a), paraphrased; liability after a sale is of its first point.
DISCLOSURES = (
    "You can lose more than you deposit, and you are liable for any deficit that is left after a sale.",
    "The firm can force the sale of securities or other assets in your accounts.",
    "The firm can sell without contacting you, and before the due time.",
    "You are not entitled to choose which securities are sold to meet a margin call.",
    "The firm can raise its house requirements at any time without advance written notice; the amount due "
    "can grow before it is paid.",
    "You are not entitled to an extension of time on a margin call.",
)

_CURE_WORDS: dict[str, str] = {
    CureAction.DEPOSIT_CASH: "deposit {amount} in cash",
    CureAction.DEPOSIT_STOCK: "deposit fully paid stock worth {amount}",
    CureAction.SELL: "sell {qty:,g} {symbol}, {amount} at that price",
    CureAction.BUY_TO_COVER: "buy back {qty:,g} {symbol}, {amount} at that price",
}


@dataclass(frozen=True)
class Letterhead:
    """Who writes. questions_to: whom a customer asks; payment: how to pay; cutoff: until when funds count."""

    firm: str = "Your broker"
    questions_to: str = QUESTIONS_TO
    phone: str = ""
    payment: str = "Pay by wire, ACH or transfer of securities."
    cutoff: str = "Funds count when they are credited to the account by the due time."


def signed_dollars(amount: float | None) -> str | None:
    """Return dollars as a statement writes them, a negative amount in parentheses; None where unknown."""
    if amount is None:
        return None
    return f"({format_dollars(-amount)})" if amount < 0 else format_dollars(amount)


def holding_in_words(row: Event) -> str:
    """Return a position and the price it was valued at, with the price's time."""
    if row.get("price") is None:
        return f"{row['qty']:,.6g} {row['symbol']}: no price"
    printed = f", of {written_time(row['price_timestamp'])}" if row.get("price_timestamp") else ""
    return f"{row['qty']:,.6g} {row['symbol']} at ${row['price']:,.4f}{printed}"


def cure_in_words(cure: Event) -> str:
    """Return one way to meet a call, for a person."""
    return _CURE_WORDS[cure["action"]].format(
        amount=format_dollars(cure["amount"]), symbol=cure.get("symbol"), qty=cure.get("qty")
    )


def leg_in_words(leg: Event) -> str:
    """Return one leg of an order: what is sold, or bought in."""
    verb = "buy in" if leg["side"] == Side.BUY_TO_COVER else "sell"
    return f"{verb} {leg['qty']:,.6g} {leg['symbol']}"


def legs_in_short(legs: Sequence[Event]) -> str:
    """Return the legs of an order as a text message has room for them."""
    said = [leg_in_words(leg) for leg in legs[:_LEGS_IN_A_TEXT]]
    more = len(legs) - _LEGS_IN_A_TEXT
    return ", ".join(said) + (f" and {more} more" if more > 0 else "")


def order_subject(legs: Sequence[Event]) -> str:
    """Return what an order does to the account, by its sides."""
    sides = {leg["side"] for leg in legs}
    if sides == {Side.BUY_TO_COVER}:
        return "Short positions are being bought in to meet your margin requirement"
    if Side.BUY_TO_COVER in sides:
        return "Positions are being closed to meet your margin requirement"
    return "Positions are being sold to meet your margin requirement"
