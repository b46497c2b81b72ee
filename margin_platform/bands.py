"""Bands: where an account stands, coarsely enough that margin.status.v1 follows decisions and not ticks.

A band is what can change a decision of the ladder: the level (clear, near the warning line, warning, call), how far a
deficiency has grown, whether it is severe, whether a severe SPY scenario is underwater, and whether a price is stale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from margin_platform.evaluate import Margin
from margin_platform.money import cents
from margin_platform.sweep import STALE as STALE_STATUS

CLEAR, NEAR, WARNING, MARGIN_CALL = 0, 1, 2, 3
LEVELS = ("CLEAR", "NEAR", "WARNING", "MARGIN_CALL")
SEVERE, STRESS, STALE = 4, 8, 16     # flags on top of the level
_BUCKET = 256                        # and above them the deterioration step of a deficiency

Codes = NDArray[np.int32]


def band_codes(margin: Margin) -> Codes:
    """Each account's band as a code, shape (accounts,), decided on figures rounded to cents.

    NEAR is the hysteresis zone above the warning line, which an account must leave upwards to end a warning. A deficiency's
    step is the power of (1 + amend_step) it has reached, so every further amend_step of deterioration is a new band.
    """
    ladder = margin.policy.ladder
    excess = cents(margin.excess)
    gross = margin.gross_mv
    with np.errstate(invalid="ignore"):
        code = np.select(
            [excess < 0, excess < cents(ladder.warn_frac * gross), excess < cents((ladder.warn_frac + ladder.warn_hysteresis) * gross)],
            [MARGIN_CALL, WARNING, NEAR],
            CLEAR,
        ).astype(np.int32)
        called = code == MARGIN_CALL
        severe = called & ((-excess > cents(ladder.severe_deficiency * margin.requirement)) | (cents(margin.equity) < ladder.equity_floor))
    code += np.where(severe, SEVERE, 0).astype(np.int32)
    code += np.where(severe_underwater(margin), STRESS, 0).astype(np.int32)
    code += np.where(margin.status == STALE_STATUS, STALE, 0).astype(np.int32)
    step = np.floor(np.log(np.maximum(1.0, -excess[called])) / np.log1p(ladder.amend_step))
    code[called] += _BUCKET * step.astype(np.int32)
    return code


def severe_underwater(margin: Margin) -> NDArray[np.bool_]:
    """Accounts that would be short of their recomputed requirement in a scenario of at least `severe_move` (MARGIN_RULES 5.2)."""
    stress = margin.policy.stress
    severe = np.abs(np.array(stress.scenarios)) >= stress.severe_move - 1e-12
    if not severe.any() or not len(margin.stress_excess_recomputed):
        return np.zeros(len(margin.equity), dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        short: NDArray[np.bool_] = cents(margin.stress_excess_recomputed[:, severe]) < 0
    return np.asarray(short.any(axis=1))


def level(code: int) -> int:
    """CLEAR, NEAR, WARNING or MARGIN_CALL."""
    return code & 3


def needs_attention(code: int) -> bool:
    """Whether an account in this band may have an open episode: its own fills and cash are then worth a status event."""
    return code != CLEAR


def band_name(code: int) -> str:
    """The band as on margin.status.v1, e.g. CLEAR, WARNING, MARGIN_CALL.38+SEVERE+STRESS, CLEAR+STALE."""
    step = f".{code // _BUCKET}" if level(code) == MARGIN_CALL else ""
    flags = [name for flag, name in ((SEVERE, "+SEVERE"), (STRESS, "+STRESS"), (STALE, "+STALE")) if code & flag]
    return LEVELS[level(code)] + step + "".join(flags)
