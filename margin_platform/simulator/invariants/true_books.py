"""What every account must hold, folded from what was sent: each fill and transfer once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from margin_platform.simulator.invariants.plain import Json

_CENT = Decimal("0.01")


def unique(events: Iterable[Json], key: str) -> list[Json]:
    """Return the first event of each id, in order of event time."""
    found: dict[str, Json] = {}
    for event in events:
        found.setdefault(event[key], event)
    return sorted(found.values(), key=lambda event: (event["timestamp"], event[key]))


def standing(fills: Iterable[Json]) -> list[Json]:
    """Return the fills that count, each once: no bust, and none that was busted."""
    given = unique(fills, "fill_id")
    busted = {fill["busts"] for fill in given if fill.get("busts")}
    return [fill for fill in given if fill["fill_id"] not in busted and not fill.get("busts")]


def shares(
    fills: Iterable[Json], splits: dict[str, tuple[int, float]], now: int
) -> dict[str, dict[str, Decimal]]:
    """Return the shares of each account and symbol at a time.

    splits: symbol -> when, and new shares for one.
    """
    held: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for fill in standing(fills):
        when, ratio = splits.get(fill["symbol"], (0, 1.0))
        grown = Decimal(str(ratio)) if fill["timestamp"] < when <= now else Decimal(1)
        held[fill["account_id"]][fill["symbol"]] += Decimal(str(fill["qty"])) * grown
    return held


def cash(fills: Iterable[Json], transfers: Iterable[Json]) -> dict[str, Decimal]:
    """Return the cash of each account in dollars: what came in, less what each fill cost in whole cents."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for moved in unique(transfers, "transfer_id"):
        found[moved["account_id"]] += Decimal(str(moved["amount"]))
    for fill in standing(fills):
        cost = Decimal(str(fill["qty"])) * Decimal(str(fill["price"]))
        found[fill["account_id"]] -= cost.quantize(_CENT, rounding=ROUND_HALF_UP)
    return found
