"""A split, a dividend and their amendments as events of June 2024,
for an account that holds ten shares of AAA.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, Event
from margin_platform.trading_time.new_york import NEW_YORK

ANNOUNCED = 1_717_423_200_000  # 2024-06-03 10:00 New York
EX_DATE = "2024-06-10"


def at(day: int, hour: int, minute: int = 0) -> int:
    return int(dt.datetime(2024, 6, day, hour, minute, tzinfo=NEW_YORK).timestamp() * 1000)


def opening(price: float = 1000.0, shares: float = 10.0) -> list[Event]:
    """100 cash beyond the shares' price."""
    shared = {"account_id": "A", "timestamp": ANNOUNCED}
    return [
        {"topic": ACCOUNTS, "event": shared | {"margin_type": "REG_T"}},
        {"topic": CASH, "event": shared | {"transfer_id": "c", "amount": price * shares + 100.0}},
        {"topic": FILLS, "event": shared | {"fill_id": "f", "symbol": "AAA", "qty": shares, "price": price}},
        printed(price, ANNOUNCED + 1),
    ]


def printed(price: float, when: int, symbol: str = "AAA") -> Event:
    return {"topic": PRICES, "event": {"symbol": symbol, "price": price, "timestamp": when}}


def said(identity: str, kind: str, when: int, **terms: Any) -> Event:
    event = {"action_id": identity, "symbol": "AAA", "kind": kind, "ex_date": EX_DATE, "timestamp": when}
    return {"topic": CORPORATE_ACTIONS, "event": event | terms}


def split(ratio: float, when: int = ANNOUNCED + 2, identity: str = "s", **more: Any) -> Event:
    return said(identity, "SPLIT", when, ratio=ratio, **more)


MONDAY = [printed(1.0, at(10, 9, 31), "BBB")]
AMENDED = {
    "another ratio, by version": ([split(2, version=2), split(10, ANNOUNCED + 1, version=3)], 100.0, 100.0),
    "an older version read late": ([split(10, version=3), split(2, ANNOUNCED + 9, version=2)], 100.0, 100.0),
    "an older timestamp read late": ([split(10, ANNOUNCED + 9), split(2, ANNOUNCED + 2)], 100.0, 100.0),
    "cancelled before its day": ([split(10), split(10, ANNOUNCED + 3, status="CANCELLED")], 10.0, 1000.0),
    "cancelled without terms": (
        [split(10), said("s", "SPLIT", ANNOUNCED + 3, status="CANCELLED")],
        10.0,
        1000.0,
    ),
    "cancelled and announced again": (
        [split(10), split(10, ANNOUNCED + 3, status="CANCELLED"), split(4, ANNOUNCED + 4)],
        40.0,
        250.0,
    ),
    "moved to the week after": ([split(10), split(10, ANNOUNCED + 3, ex_date="2024-06-17")], 10.0, 1000.0),
    "cancelled after its day": (
        [split(10), *MONDAY, split(10, at(10, 9, 32), status="CANCELLED")],
        10.0,
        1000.0,
    ),
    "moved on after its day": (
        [split(10), *MONDAY, split(10, at(10, 9, 32), ex_date="2024-06-17")],
        10.0,
        1000.0,
    ),
    "another ratio after its day": ([split(10), *MONDAY, split(4, at(10, 9, 32))], 40.0, 250.0),
    "reversed after its day": ([split(2), *MONDAY, split(0.5, at(10, 9, 32))], 5.0, 2000.0),
    "amended twice after its day": (
        [split(2), *MONDAY, split(4, at(10, 9, 32)), split(10, at(10, 9, 33))],
        100.0,
        100.0,
    ),
}

SPUN = {"new_symbol": "BBB", "ratio": 1.0}
# AbbVie: one share for one of Abbott, 2013-01-01 (Form 8-K of Abbott of that day). On 2013-01-02 Abbott
# closed at 32.05, up 2.3%, and AbbVie at 35.12, up 2.8% (Chicago Tribune, 2013-01-03): together 65.5 before.
# PayPal: one for one of eBay, ex-date 2015-07-20 (Nasdaq trader alert 2015-105); vendors adjust the closes of
# before by 2.376 (stocksplithistory.com): 66.29 to 27.90.
FALLS: dict[str, tuple[float, str, dict[str, Any], float]] = {
    # price of before, kind, terms, first price of the day
    "Abbott without AbbVie, 2013-01-02, in the shape of 2 for 1": (65.5, "SPIN_OFF", SPUN, 32.05),
    "eBay without PayPal, 2015-07-20": (66.29, "SPIN_OFF", SPUN, 27.9),
    "in the shape of 3 for 1": (90.0, "SPIN_OFF", SPUN, 30.0),
    "in the shape of 5 for 3": (100.0, "SPIN_OFF", SPUN | {"ratio": 0.5}, 60.0),
    "in the shape of 10 for 1": (50.0, "SPIN_OFF", SPUN | {"ratio": 3.0}, 5.0),
    "no shape": (100.0, "SPIN_OFF", SPUN, 57.0),
    "a dividend of two fifths": (100.0, "DIVIDEND", {"amount": 40.0}, 60.0),
    "a dividend of half": (30.0, "DIVIDEND", {"amount": 15.0}, 15.1),
    "a dividend of two thirds": (30.0, "DIVIDEND", {"amount": 20.0}, 9.9),
    "a dividend of nine tenths": (100.0, "DIVIDEND", {"amount": 90.0}, 10.2),
}
