"""The rows of the page's server: figures of an account, and a state that takes them."""

from __future__ import annotations

from typing import Any

from margin_platform.dashboard.state.accounts import NewestRows

NOON = 1_584_028_800_000
HOUR = 3_600_000


def calc(account: str, at: int = NOON, status: str = "ACTIVE", excess: float = 10.0) -> dict[str, Any]:
    return {
        "account_id": account,
        "status": status,
        "excess": excess,
        "timestamp": at,
        "inputs": {"oldest_price": at},
    }


def newest_rows() -> NewestRows:
    return NewestRows(lambda clock: clock - HOUR)
