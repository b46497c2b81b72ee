"""Mergers, spin-offs, new symbols and delistings at the terms of real ones, as events."""

from __future__ import annotations

import datetime as dt
from typing import Any

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, Event
from margin_platform.trading_time.new_york import NEW_YORK


def moment(day: str, hour: int) -> int:
    return int(dt.datetime.combine(dt.date.fromisoformat(day), dt.time(hour), NEW_YORK).timestamp() * 1000)


def held(shares: float, price: float, day: str) -> list[Event]:
    """An account with 50,000 in cash beyond these shares' price."""
    shared = {"account_id": "A", "timestamp": moment(day, 10) - 86_400_000}
    return [
        {"topic": ACCOUNTS, "event": shared | {"margin_type": "REG_T"}},
        {"topic": CASH, "event": shared | {"transfer_id": "c", "amount": 50_000.0 + shares * price}},
        {"topic": FILLS, "event": shared | {"fill_id": "f", "symbol": "OLD", "qty": shares, "price": price}},
        printed("OLD", price, shared["timestamp"]),
    ]


def printed(symbol: str, price: float, at: int) -> Event:
    return {"topic": PRICES, "event": {"symbol": symbol, "price": price, "timestamp": at}}


def action(kind: str, day: str, **terms: Any) -> Event:
    event = {
        "action_id": "x",
        "symbol": "OLD",
        "kind": kind,
        "ex_date": day,
        "timestamp": moment(day, 10) - 80_000_000,
    }
    return {"topic": CORPORATE_ACTIONS, "event": event | terms}


# Terms as announced. Twitter: 54.20 in cash, merged on 2022-10-27. GE HealthCare: one share for three of
# GE, from 2023-01-04. Activision: 95.00 in cash, 2023-10-13. Pioneer: 2.3234 Exxon Mobil, 2024-05-03 (8-K
# of that day). VMware: 142.50 in cash or 0.2520 Broadcom, prorated to half each, 2023-11-22. GE Vernova:
# one share for four of GE, 2024-04-02. Facebook: META from 2022-06-09. SVB Financial: worthless to the
# holder once its bank was closed on 2023-03-10.
REAL = {  # kind, day, price of before, terms, price of the new symbol; of 100 shares: positions, cash gained
    "TWTR": ("CASH_MERGER", "2022-10-28", 53.70, {"amount": 54.20}, None, {}, 5_420.0),
    "GEHC": (
        "SPIN_OFF",
        "2023-01-04",
        83.8,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 3},
        60.5,
        {"OLD": 100.0, "NEW": 33.333333},
        0.0,
    ),
    "GEHC, the fraction in cash": (
        "SPIN_OFF",
        "2023-01-04",
        83.8,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 3, "post_price": 60.0},
        60.5,
        {"OLD": 100.0, "NEW": 33.0},
        20.0,
    ),
    "ATVI": ("CASH_MERGER", "2023-10-13", 94.42, {"amount": 95.0}, None, {}, 9_500.0),
    "PXD": (
        "STOCK_MERGER",
        "2024-05-03",
        269.62,
        {"new_symbol": "NEW", "ratio": 2.3234},
        116.0,
        {"NEW": 232.34},
        0.0,
    ),
    "PXD, the fraction in cash": (
        "STOCK_MERGER",
        "2024-05-03",
        269.62,
        {"new_symbol": "NEW", "ratio": 2.3234, "post_price": 116.0},
        116.0,
        {"NEW": 232.0},
        0.34 * 116,
    ),
    "VMW": (
        "STOCK_MERGER",
        "2023-11-22",
        140.0,
        {"new_symbol": "NEW", "ratio": 0.126, "amount": 71.25},
        980.0,
        {"NEW": 12.6},
        7_125.0,
    ),
    "GE": (
        "SPIN_OFF",
        "2024-04-02",
        136.0,
        {"new_symbol": "NEW", "ratio": 0.25},
        115.0,
        {"OLD": 100.0, "NEW": 25.0},
        0.0,
    ),
    "GE as a fraction": (
        "SPIN_OFF",
        "2024-04-02",
        136.0,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 4},
        115.0,
        {"OLD": 100.0, "NEW": 25.0},
        0.0,
    ),
    "FB": ("SYMBOL_CHANGE", "2022-06-09", 196.64, {"new_symbol": "NEW"}, 184.0, {"NEW": 100.0}, 0.0),
    "SIVB": ("DELISTING", "2023-03-10", 106.04, {"amount": 0.0}, None, {}, 0.0),
    "delisted at a value": ("DELISTING", "2023-03-10", 106.04, {"amount": 0.4}, None, {}, 40.0),
}
