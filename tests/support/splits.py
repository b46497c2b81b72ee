"""Split ratios, and the events around a split in January 2024."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction

from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, Event
from margin_platform.trading_time.new_york import NEW_YORK

RATIOS = [Fraction(1, n) for n in (2, 3, 4, 7, 10, 12, 20, 30, 50, 100, 225)] + [
    Fraction(n) for n in (2, 3, 5, 10, 12, 20, 50)
]


RATIOS += [Fraction(3, 2), Fraction(2, 3), Fraction(5, 2)]


def ny(day: int, hour: int, minute: int = 0) -> int:
    return int(dt.datetime(2024, 1, day, hour, minute, tzinfo=NEW_YORK).timestamp() * 1000)


def price(value: float, at: int, symbol: str = "AAA") -> tuple[str, Event]:
    return PRICES, {"symbol": symbol, "price": value, "timestamp": at}


def split(ratio: Fraction, at: int) -> tuple[str, Event]:
    terms = {"ratio_new": ratio.numerator, "ratio_old": ratio.denominator, "ex_date": "2024-01-05"}
    return CORPORATE_ACTIONS, {"action_id": "s", "symbol": "AAA", "kind": "SPLIT", "timestamp": at} | terms
