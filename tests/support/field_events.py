"""Good events of each topic, to be spoiled in one field, and the refusal of what is spoiled."""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.contracts.messages import (
    BETAS,
    CASH,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    decode,
    encode,
)

T = 1_704_816_000_000
FILL = {"fill_id": "f", "account_id": "A", "symbol": "AAA", "qty": 100, "price": 100, "timestamp": T}
GOOD: dict[str, dict[str, Any]] = {
    FILLS: FILL,
    CASH: {"transfer_id": "c", "account_id": "A", "amount": 5000, "timestamp": T},
    PRICES: {"symbol": "AAA", "price": 100, "timestamp": T},
    BETAS: {"symbol": "AAA", "beta": 1.2, "timestamp": T},
    VOLATILITY: {"symbol": "AAA", "volatility_annual": 0.25, "timestamp": T},
}


def refused_with(topic: str, **changed: Any) -> BadEvent:
    with pytest.raises(BadEvent) as refused:
        decode(topic, encode(GOOD[topic] | changed))
    return refused.value


def book_with(**position: Any) -> dict[str, Any]:
    return {
        "accounts": [
            {
                "account_id": "A",
                "cash": 0,
                "positions": [{"symbol": "AAA", "qty": 100, "price": 100} | position],
            }
        ]
    }
