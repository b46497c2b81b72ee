"""A small market for the stream tests:
accounts, holdings and ticks, as events in an order a producer could send them.
"""

from __future__ import annotations

from typing import Any

from margin_platform.contracts.messages import ACCOUNTS, BETAS, CASH, FILLS, PRICES, Event
from margin_platform.kafka.bus import Bus

OPEN = 1_582_295_400_000  # 2020-02-21 09:30 New York, a Friday
PRICE = {"AAPL": 80.0, "MSFT": 180.0, "KO": 59.0, "PEP": 146.0, "JPM": 137.0}


def seed(accounts: int) -> list[tuple[str, Event]]:
    """Accounts with cash, each long two names on margin; every third one short a name as well."""
    events: list[tuple[str, Event]] = [
        (BETAS, {"symbol": s, "beta": 1.1, "timestamp": OPEN - 5}) for s in PRICE
    ]
    events += [(PRICES, {"symbol": s, "price": p, "timestamp": OPEN - 4}) for s, p in PRICE.items()]
    names = list(PRICE)
    for n in range(accounts):
        account = f"A{n:04d}"
        margin_type = "PORTFOLIO" if n % 4 == 0 else "REG_T"
        events.append((ACCOUNTS, {"account_id": account, "margin_type": margin_type, "timestamp": OPEN - 3}))
        events.append(
            (
                CASH,
                {"transfer_id": f"t{n}", "account_id": account, "amount": 6_000.0 + n, "timestamp": OPEN - 2},
            )
        )
        for k, qty in enumerate((60, 40, -20 if n % 3 == 0 else 0)):
            symbol = names[(n + k) % len(names)]
            if qty:
                fill = {
                    "fill_id": f"f{n}-{k}",
                    "account_id": account,
                    "symbol": symbol,
                    "qty": qty,
                    "price": PRICE[symbol],
                }
                events.append((FILLS, fill | {"timestamp": OPEN - 1}))
    return events


def tick(step: int) -> list[tuple[str, Event]]:
    """All names a little lower at every step."""
    return [
        (PRICES, {"symbol": s, "price": round(p * (1 - 0.004 * step), 4), "timestamp": OPEN + 1000 * step})
        for s, p in PRICE.items()
    ]


def send(bus: Bus, events: list[tuple[str, Any]]) -> None:
    for topic, event in events:
        bus.produce(topic, event)
    bus.flush()
