"""The closed sets of values in events. A member is its own text, in comparisons and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class CallAction(StrEnum):
    """A step of a margin call's life on margin.calls.v1."""

    WARNING = "WARNING"
    MARGIN_CALL = "MARGIN_CALL"
    AMENDED = "AMENDED"
    MET = "MET"
    EXPIRED = "EXPIRED"
    LIQUIDATE = "LIQUIDATE"
    HELD = "HELD"
    RELEASED = "RELEASED"
    RESCINDED = "RESCINDED"
    RECOVERED = "RECOVERED"


class CallKind(StrEnum):
    """Which requirement a margin call is for, as a margin clerk and a letter name it."""

    HOUSE = "House maintenance call"
    EXCHANGE = "Exchange maintenance call"
    PORTFOLIO = "Portfolio margin call"
    PORTFOLIO_MINIMUM = "Portfolio margin minimum equity call"


class RestrictionAction(StrEnum):
    """What restrictions.v1 states of an account."""

    CLOSE_ONLY = "CLOSE_ONLY"
    LIFTED = "LIFTED"


class OrderAction(StrEnum):
    """What liquidation.orders.v1 does with an order."""

    NEW = "NEW"
    CANCEL = "CANCEL"


class Side(StrEnum):
    """The side of a closing trade: a long is sold, a short is bought back."""

    SELL = "SELL"
    BUY_TO_COVER = "BUY_TO_COVER"


class CureAction(StrEnum):
    """What a customer may do about a margin call."""

    DEPOSIT_CASH = "DEPOSIT_CASH"
    DEPOSIT_STOCK = "DEPOSIT_STOCK"
    SELL = "SELL"
    BUY_TO_COVER = "BUY_TO_COVER"


def asks_for_orders(event: Mapping[str, object]) -> bool:
    """Return whether an event of margin.calls.v1 is a request that the liquidation desk answers."""
    return event.get("action") == CallAction.LIQUIDATE
