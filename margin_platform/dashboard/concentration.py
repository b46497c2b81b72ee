"""Where the firm's clients are concentrated: market value by symbol over the published positions. Sums, no margin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from margin_platform.events import Event
from margin_platform.money import cents


def by_symbol(statuses: Iterable[Event], accounts: int, most: int = 25) -> dict[str, Any]:
    """Largest symbols by gross value: long, short, net (dollars) and holders; `covered` of `accounts` have published positions."""
    long: dict[str, float] = {}
    short: dict[str, float] = {}
    holders: dict[str, int] = {}
    covered = unpriced = 0
    for event in statuses:
        covered += 1
        for position in event.get("positions") or []:
            symbol, price, qty = position.get("symbol"), position.get("price"), position.get("qty")
            if price is None or qty is None:
                unpriced += 1
                continue
            side = long if qty > 0 else short
            side[symbol] = side.get(symbol, 0.0) + abs(qty) * price
            holders[symbol] = holders.get(symbol, 0) + 1
    gross = {s: long.get(s, 0.0) + short.get(s, 0.0) for s in holders}
    total = sum(gross.values())
    ranked = sorted(gross, key=lambda s: (-gross[s], s))[:most]
    return {
        "covered": covered, "accounts": accounts, "unpriced_positions": unpriced, "gross": cents(total),
        "symbols": [
            {
                "symbol": s, "long": cents(long.get(s, 0.0)), "short": cents(short.get(s, 0.0)), "gross": cents(gross[s]),
                "net": cents(long.get(s, 0.0) - short.get(s, 0.0)), "share": gross[s] / total if total else None, "holders": holders[s],
            }
            for s in ranked
        ],
    }
