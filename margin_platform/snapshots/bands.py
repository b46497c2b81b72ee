"""Bands: where an account stands, coarsely enough that margin.status.v1 follows decisions and not ticks.

A band is what can change a decision of the ladder: the level (clear, near the warning line, warning, call), how far a
deficiency has grown, whether it is severe, whether a severe SPY scenario is underwater, and whether a price is stale.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.account_sweep import STALE as STALE_STATUS
from margin_platform.kernel.account_sweep import source_digest
from margin_platform.kernel.evaluate import Margin
from margin_platform.money import exceeds, round_cents

CLEAR, NEAR, WARNING, MARGIN_CALL = 0, 1, 2, 3
LEVELS = ("CLEAR", "NEAR", "WARNING", "MARGIN_CALL")
SEVERE, STRESS, STALE = 4, 8, 16     # flags on top of the level
_FAR = 0.02                          # dollars from a line at which rounding to cents decides nothing
_BUCKET = 256                        # and above them the deterioration step of a deficiency

Codes = NDArray[np.int32]


@numba.njit(nogil=True)
def _code(excess, gross, requirement, equity, status, stressed, warn, near, severe_deficiency, equity_floor, amend):
    """One account's band. `stressed`: its recomputed excess in each severe scenario. A figure that is not known decides nothing."""
    code = CLEAR
    if not excess >= near * gross + _FAR:   # further away, rounding to cents decides nothing
        short = round_cents(excess)
        if short < 0.0:
            code = MARGIN_CALL
        elif exceeds(warn * round_cents(gross), short):
            code = WARNING
        elif exceeds(near * round_cents(gross), short):
            code = NEAR
        if code == MARGIN_CALL:
            if exceeds(-short, severe_deficiency * round_cents(requirement)) or round_cents(equity) < equity_floor:
                code += SEVERE
            code += _BUCKET * int(math.floor(math.log(max(1.0, -short)) / amend))
    for lane in range(len(stressed)):
        if stressed[lane] < 0.0 and round_cents(stressed[lane]) < 0.0:
            code += STRESS
            break
    return code + STALE if status == STALE_STATUS else code


def _cached(digest: str) -> Any:
    """The loop over accounts, its machine code kept on disk until a source it comes from changes (see `account_sweep`)."""

    @numba.njit(nogil=True, cache=True)
    def run(excess, gross, requirement, equity, status, stressed, severe, warn, near, severe_deficiency, equity_floor, amend, out):
        lanes = np.zeros(len(severe) if len(digest) > 0 else 0)
        for r in range(len(out)):
            for n in range(len(lanes)):
                lanes[n] = stressed[r, severe[n]]
            out[r] = _code(excess[r], gross[r], requirement[r], equity[r], status[r], lanes, warn, near, severe_deficiency, equity_floor,
                           amend)

    return run


_codes = _cached(source_digest(__name__, "margin_platform.money"))


def band_codes(margin: Margin) -> Codes:
    """Each account's band as a code, shape (accounts,), decided on figures rounded to cents.

    NEAR is the hysteresis zone above the warning line, which an account must leave upwards to end a warning. A deficiency's
    step is the power of (1 + amend_step) it has reached, so every further amend_step of deterioration is a new band.
    """
    ladder = margin.policy.ladder
    codes = np.empty(len(margin.equity), dtype=np.int32)
    _codes(
        margin.excess, margin.gross_mv, margin.requirement, margin.equity, margin.status, margin.stress_excess_recomputed,
        _severe_scenarios(margin), ladder.warn_frac, ladder.warn_frac + ladder.warn_hysteresis, ladder.severe_deficiency,
        ladder.equity_floor, math.log1p(ladder.amend_step), codes,
    )
    return codes


def _severe_scenarios(margin: Margin) -> NDArray[np.int64]:
    """Numbers of the scenarios of at least `severe_move`; none where the scenarios were not recomputed."""
    stress = margin.policy.stress
    if not len(margin.stress_excess_recomputed):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.abs(np.array(stress.scenarios)) >= stress.severe_move - 1e-12)


def levels(codes: Codes) -> Codes:
    """CLEAR, NEAR, WARNING or MARGIN_CALL of each code."""
    return codes & 3


def level(code: int) -> int:
    """CLEAR, NEAR, WARNING or MARGIN_CALL."""
    return code & 3


def band_name(code: int) -> str:
    """The band as on margin.status.v1, e.g. CLEAR, WARNING, MARGIN_CALL.38+SEVERE+STRESS, CLEAR+STALE."""
    step = f".{code // _BUCKET}" if level(code) == MARGIN_CALL else ""
    flags = [name for flag, name in ((SEVERE, "+SEVERE"), (STRESS, "+STRESS"), (STALE, "+STALE")) if code & flag]
    return LEVELS[level(code)] + step + "".join(flags)
