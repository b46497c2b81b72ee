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


# Terms, and where each was looked up (2026-11-29). A price is a close unless said otherwise.
# TWTR: 54.20 in cash. The exchange suspends it from 2022-10-28 on (Reuters, 2022-10-27); closed at 53.70 on
#   2022-10-27 (Investor's Business Daily).
# GEHC: one share for three of GE, for holders of 2022-12-16; distributed on 2023-01-03, apart from 2023-01-04
#   on (Form 10-Q of GE HealthCare for the first quarter of 2023, note 19). GE closed at 66.31 without it on
#   2023-01-03 (Investor's Business Daily); GEHC stood at 59.96, up 7.1%, at 11:04 on 2023-01-04 (Bloomberg).
#   So with it GE was worth 66.31 + 59.96 / 1.071 / 3 = 84.97.
# ATVI: 95.00 in cash, halted in the evening of 2023-10-12, completed on 2023-10-13 (The Esports Advocate,
#   TechRaptor, of these days). The price of before is rounded.
# PXD: 2.3234 Exxon Mobil, merged on 2024-05-03 (Form 8-K of Pioneer, 0001193125-24-130052). Prices rounded.
# VMW: 142.50 in cash or 0.2520 Broadcom, half of all shares each (Form 10-Q of VMware, 2023-04-30, and both
#   companies' release on the election): an average holder has 71.25 and 0.126 a share. Prices rounded.
# GE: one share of GE Vernova for four, 2024-04-02 (Form 10-Q of GE Vernova for the first quarter of 2024,
#   note 24); GE stood at 175.36 the day before (Baystreet). The price of GEV is rounded.
# FB: META from before the opening of 2022-06-09 on, with the CUSIP of before (Meta's release of 2022-05-31);
#   184.00 on 2022-06-09, down 6.43% (FP Markets), so 196.64 the day before.
# SIVB: halted at 106.04 before the opening of 2023-03-10; SIVBQ, over the counter, from 2023-03-28 on, the
#   first price 0.53 (Business Insider, 2023-03-29).
REAL = {  # kind, day, price of before, terms, price of the new symbol; of 100 shares: positions, cash gained
    "TWTR": ("CASH_MERGER", "2022-10-28", 53.70, {"amount": 54.20}, None, {}, 5_420.0),
    "GEHC": (
        "SPIN_OFF",
        "2023-01-04",
        84.97,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 3},
        59.96,
        {"OLD": 100.0, "NEW": 33.333333},
        0.0,
    ),
    "GEHC, the fraction in cash": (
        "SPIN_OFF",
        "2023-01-04",
        84.97,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 3, "post_price": 60.0},
        59.96,
        {"OLD": 100.0, "NEW": 33.0},
        20.0,
    ),
    "ATVI": ("CASH_MERGER", "2023-10-13", 94.4, {"amount": 95.0}, None, {}, 9_500.0),
    "PXD": (
        "STOCK_MERGER",
        "2024-05-03",
        270.0,
        {"new_symbol": "NEW", "ratio": 2.3234},
        116.0,
        {"NEW": 232.34},
        0.0,
    ),
    "PXD, the fraction in cash": (
        "STOCK_MERGER",
        "2024-05-03",
        270.0,
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
        175.36,
        {"new_symbol": "NEW", "ratio": 0.25},
        115.0,
        {"OLD": 100.0, "NEW": 25.0},
        0.0,
    ),
    "GE as a fraction": (
        "SPIN_OFF",
        "2024-04-02",
        175.36,
        {"new_symbol": "NEW", "ratio_new": 1, "ratio_old": 4},
        115.0,
        {"OLD": 100.0, "NEW": 25.0},
        0.0,
    ),
    "FB": ("SYMBOL_CHANGE", "2022-06-09", 196.64, {"new_symbol": "NEW"}, 184.0, {"NEW": 100.0}, 0.0),
    "SIVB, valued at nothing": ("DELISTING", "2023-03-28", 106.04, {"amount": 0.0}, None, {}, 0.0),
    "SIVB, at its first price": ("DELISTING", "2023-03-28", 106.04, {"amount": 0.53}, None, {}, 53.0),
}
