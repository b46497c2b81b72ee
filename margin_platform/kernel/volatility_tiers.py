"""The volatility add-on's tier: strictly over 40% is 1, strictly over 60% is 2 (MARGIN_RULES 3.2, 9.7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Floats
from margin_platform.policy.sections import VolatilityPolicy

OK, DEFAULT = "OK", "DEFAULT"  # quality of a volatility: from history, or the policy's default


def tiers(sigma: Floats, held: NDArray[np.integer[Any]], rules: VolatilityPolicy) -> NDArray[np.int8]:
    """Return the add-on tier (0, 1, 2) of each volatility: strictly over 60% is 2, strictly over 40% is 1
    (MARGIN_RULES 3.2, 9.7).

    With hysteresis the tier `held` before is left only below its leaving level; applied twice it changes
    nothing. An unknown sigma (NaN) counts as the policy's default.
    """
    known = np.where(np.isnan(sigma), rules.default_sigma, sigma)
    reached = (known > rules.vol_tier1).astype(np.int8) + (known > rules.vol_tier2)
    if rules.vol_hysteresis:
        kept = np.where(
            (held >= 2) & (known >= rules.vol_leave_tier2),
            2,
            np.where((held >= 1) & (known >= rules.vol_leave_tier1), 1, 0),
        )
        reached = np.maximum(reached, kept)
    return reached.astype(np.int8)


def tier_path(sigma: Floats, rules: VolatilityPolicy) -> NDArray[np.int8]:
    """Return the tier of each session and symbol, (sessions, symbols), each held on from the session
    before."""
    path = np.zeros(sigma.shape, dtype=np.int8)
    held = np.zeros(sigma.shape[1], dtype=np.int8)
    for session in range(len(sigma)):
        path[session] = held = tiers(sigma[session], held, rules)
    return path
