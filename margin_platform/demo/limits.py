"""The demo's own firm limits, as a policy file of its data folder.

The shipped limits are those of the rulebook's cases. A book of a thousand accounts is beyond them from the
first price to the last. The demo's follow from its opening book, so that they are crossed on the way: the
exposure is in warning at the start and falls as customers are sold out, and the loss begins at zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from margin_platform.backtest.books.generated import AccountRow
from margin_platform.backtest.runs import generated_book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.policy.policy import Policy, current_policy

_EXPOSURE_SHARE = 1.05  # of the opening beta-weighted exposure
_LOSS_SHARE = 0.0005  # of the opening gross value
_HEAD = "# Written by `margin demo`: the policy in force, with firm limits for the demo's book.\n"


def policy_of(rows: Sequence[AccountRow], prices: Mapping[str, float], betas: Mapping[str, float]) -> Policy:
    """Return the policy in force with firm limits that follow from a book at prices (dollars a share) and
    betas.
    """
    policy = current_policy()
    given = generated_book(rows, policy)
    market = replace(
        given.market, price=_column(given.market.symbols, prices), beta=_column(given.market.symbols, betas)
    )
    opening = evaluate(given.book, market, policy).published
    return policy.override(
        {
            "firm_exposure_limit": _rounded(
                _EXPOSURE_SHARE * abs(float(opening.beta_weighted_exposure.sum()))
            ),
            "firm_loss_limit": _rounded(_LOSS_SHARE * float(opening.gross_mv.sum())),
        }
    )


def write(folder: Path, policy: Policy) -> Path:
    """Write a policy where every process of a data folder reads it; return the file."""
    path = folder / "policies" / "demo.yaml"
    path.parent.mkdir()
    path.write_text(_HEAD + yaml.safe_dump(policy.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
    return path


def _column(symbols: Sequence[str], values: Mapping[str, float]) -> np.ndarray:
    return np.array([values.get(symbol, np.nan) for symbol in symbols])


def _rounded(dollars: float) -> float:
    """Return dollars with two significant digits, as limits are set."""
    return float(f"{dollars:.1e}")
