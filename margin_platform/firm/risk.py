"""Firm-wide risk: exposure and loss over all accounts, never netted across customers (MARGIN_RULES 6)."""

from __future__ import annotations

from typing import Any

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats
from margin_platform.money import cents


def firm_risk(book: Book, margin: Margin, top: int = 5) -> dict[str, Any]:
    """Firm totals: beta-weighted exposure (net and gross), and each scenario's client P&L, firm loss and expected calls.

    `margin` must be that of the whole book; the `top` accounts that cause most of the worst scenario's loss are named.
    """
    exposure = np.nan_to_num(margin.beta_weighted_exposure)
    losses = margin.unsecured
    short_of_margin = cents(margin.stress_excess_recomputed) < 0
    scenarios = [
        {
            "scenario": move,
            "delta_pnl": cents(float(np.nansum(margin.stress_pnl[:, s]))),
            "firm_loss": cents(float(losses[:, s].sum())),
            "calls_expected": int(short_of_margin[:, s].sum()),
            "collateral_short": cents(float(np.maximum(0.0, -np.nan_to_num(margin.stress_excess_recomputed[:, s])).sum())),
        }
        for s, move in enumerate(margin.policy.stress.scenarios)
    ]
    return {
        "beta_weighted_exposure": cents(float(exposure.sum())),
        "gross_beta_weighted_exposure": cents(float(np.abs(exposure).sum())),
        "total_mv": cents(float(np.nansum(margin.total_mv))),
        "gross_mv": cents(float(np.nansum(margin.gross_mv))),
        "num_accounts": len(exposure),
        "accounts_stale": int(np.isnan(margin.equity).sum()),
        "stress": scenarios,
        "top_contributors": _top(book, losses, top),
    }


def _top(book: Book, losses: Floats, top: int) -> list[dict[str, Any]]:
    if losses.size == 0:
        return []
    worst = losses[:, int(losses.sum(axis=0).argmax())]
    order = np.argsort(-worst, kind="stable")[:top]
    return [{"account_id": book.account_ids[n], "amount": cents(float(worst[n]))} for n in order if worst[n] > 0]
