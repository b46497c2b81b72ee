"""Firm-wide risk: exposure and loss over all accounts, never netted across customers (MARGIN_RULES 6)."""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats
from margin_platform.money import cents


def firm_risk(book: Book, margin: Margin, top: int = 5) -> dict[str, object]:
    """Return firm totals: beta-weighted exposure (net and gross), and each scenario's client P&L, firm loss
    and expected calls.

    `margin` must be that of the whole book; the `top` accounts that cause most of the worst scenario's loss
    are named. Accounts that cannot be valued are counted in `accounts_stale` and in no total.
    """
    published = margin.published
    exposure, recomputed = published.beta_weighted_exposure, published.stress_excess_recomputed
    losses = np.where(np.isnan(published.stress_equity), np.nan, published.unsecured)
    short_of_margin = recomputed < 0
    scenarios = [
        {
            "scenario": move,
            "delta_pnl": _total(published.stress_pnl[:, s]),
            "firm_loss": _total(losses[:, s]),
            "calls_expected": int(short_of_margin[:, s].sum()),
            "collateral_short": _total(np.maximum(0.0, -recomputed[:, s])),
        }
        for s, move in enumerate(margin.policy.stress.scenarios)
    ]
    return {
        "beta_weighted_exposure": _total(exposure),
        "gross_beta_weighted_exposure": _total(np.abs(exposure)),
        "total_mv": _total(published.total_mv),
        "gross_mv": _total(published.gross_mv),
        "num_accounts": len(exposure),
        "accounts_stale": int(np.isnan(margin.equity).sum()),
        "stress": scenarios,
        "top_contributors": _top(book, published.unsecured, top),
    }


def _total(column: Floats) -> float | None:
    """Sum the accounts that can be valued; return None where there are accounts and none of them can."""
    if len(column) and np.isnan(column).all():
        return None
    return cents(float(np.nansum(column)))


def _top(book: Book, losses: Floats, top: int) -> list[dict[str, object]]:
    if losses.size == 0:
        return []
    worst = losses[:, int(losses.sum(axis=0).argmax())]
    order = np.argsort(-worst, kind="stable")[:top]
    return [
        {"account_id": book.account_ids[n], "amount": cents(float(worst[n]))} for n in order if worst[n] > 0
    ]
