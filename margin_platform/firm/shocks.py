"""What a move of some names, or of their volatility, would do to the whole book: the kernel's figures before
and after.

A shock changes market inputs and nothing else. No rule of margin is here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.refusals import InputError
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin, evaluate
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.volatility_tiers import tiers
from margin_platform.money import cents
from margin_platform.policy.policy import Policy
from margin_platform.policy.sections import VolatilityPolicy

WORST_SHOWN = 10
_MOST_UP = 10.0


@dataclass(frozen=True)
class Shock:
    """symbols: the names it meets, None for all of them; move: of their prices, -0.3 is a fall of 30%;
    tier_up: their volatility enters the next tier of the add-on.
    """

    symbols: Collection[str] | None = None
    move: float = 0.0
    tier_up: bool = False

    def __post_init__(self) -> None:
        if not -1.0 < self.move <= _MOST_UP:
            raise InputError("move", self.move, f"not above -1 and up to {_MOST_UP:g}")
        if not self.move and not self.tier_up:
            raise InputError("move", self.move, "neither a move of the price nor a tier of volatility")


def shocked(market: Market, shock: Shock, rules: VolatilityPolicy) -> Market:
    """Return the market after a shock. InputError for a symbol it does not have."""
    met = _met(market, shock.symbols)
    price = np.where(met, market.price * (1.0 + shock.move), market.price)
    if not shock.tier_up:
        return market.with_columns(price=price)
    tier = tiers(market.sigma, market.volatility_tier, rules)
    entered = np.array([rules.vol_tier1, rules.vol_tier2])[np.minimum(tier, 1)]  # strictly over it
    higher = np.where(tier < 2, np.nextafter(entered, np.inf), market.sigma)
    return market.with_columns(price=price, sigma=np.where(met, higher, market.sigma))


def _met(market: Market, symbols: Collection[str] | None) -> NDArray[np.bool_]:
    if symbols is None:
        return np.ones(len(market.symbols), dtype=np.bool_)
    known = market.code_of()
    if unknown := sorted(set(symbols) - known.keys()):
        raise InputError("symbol", unknown[0], "unknown symbol")
    met = np.zeros(len(market.symbols), dtype=np.bool_)
    met[[known[symbol] for symbol in symbols]] = True
    return met


def effect(book: Book, market: Market, policy: Policy, shock: Shock) -> dict[str, object]:
    """Return what a shock does to a book: dollars and counts before and after, and the accounts it meets
    hardest.

    Accounts that cannot be valued are counted in `accounts_stale` and in no total.
    """
    before = evaluate(book, market, policy)
    after = evaluate(book, shocked(market, shock, policy.volatility), policy)
    valued = ~(np.isnan(before.equity) | np.isnan(after.equity))
    short, then_short = (_short(margin) & valued for margin in (before, after))
    return {
        "accounts": int(valued.sum()),
        "accounts_stale": int((~valued).sum()),
        "clients_pnl": _total(after.published.equity - before.published.equity, valued),
        "calls": {
            "before": int(short.sum()),
            "after": int(then_short.sum()),
            "new": int((then_short & ~short).sum()),
        },
        "requirement": _both(before.published.requirement, after.published.requirement, valued),
        "deficiency": _both(_lack(before.published.excess), _lack(after.published.excess), valued),
        "unsecured": _both(_lack(before.published.equity), _lack(after.published.equity), valued),
        "worst": _worst(book, before, after, valued),
    }


def _short(margin: Margin) -> NDArray[np.bool_]:
    return np.asarray(margin.counted(margin.published.excess) < 0)


def _lack(column: Floats) -> Floats:
    return np.maximum(0.0, -column)


def _both(before: Floats, after: Floats, valued: NDArray[np.bool_]) -> dict[str, float]:
    then, now = _total(after, valued), _total(before, valued)
    return {"before": now, "after": then, "change": cents(then - now)}


def _total(column: Floats, valued: NDArray[np.bool_]) -> float:
    return cents(float(column[valued].sum()))


def _worst(book: Book, before: Margin, after: Margin, valued: NDArray[np.bool_]) -> list[dict[str, object]]:
    """List the accounts whose deficiency grows most, largest first."""
    grows = _lack(after.published.excess) - _lack(before.published.excess)
    grows = np.where(valued, grows, 0.0)
    order = np.argsort(-grows, kind="stable")[:WORST_SHOWN]
    return [
        {
            "account_id": book.account_ids[n],
            "excess_before": float(before.published.excess[n]),
            "excess_after": float(after.published.excess[n]),
            "equity_after": float(after.published.equity[n]),
        }
        for n in order.tolist()
        if grows[n] > 0
    ]
