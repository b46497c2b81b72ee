"""Bands: where an account stands, coarsely enough that margin.status.v1 follows decisions and not ticks.

A band is what can change a decision of the ladder: the level (clear, near the warning line, warning, call),
how far a deficiency has grown, whether it is severe, whether a severe SPY scenario is underwater, and whether
a price is stale.
"""

from __future__ import annotations

import math
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.columns import Status
from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel
from margin_platform.money import ROUNDING_REACH, exceeds, round_cents

if TYPE_CHECKING:  # the compiled code does not depend on it
    from margin_platform.kernel.evaluate import Margin

_BUCKET = 256  # the deterioration step of a deficiency counts in these, above level and flags

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]


class Level(IntEnum):
    """How close an account is to a call: the lowest bits of a band's code."""

    CLEAR = 0
    NEAR = 1
    WARNING = 2
    MARGIN_CALL = 3


class BandFlag(IntFlag):
    """What a band says on top of its level. Compiled code reads a member's `value`."""

    SEVERE = 4
    STRESS = 8
    STALE = 16


class _Standing(NamedTuple):
    """Columns of what decides a band, by account. stressed: recomputed excess, (accounts, scenarios)."""

    excess: Floats
    gross: Floats
    requirement: Floats
    equity: Floats
    status: NDArray[np.int8]
    stressed: Floats


class _Lines(NamedTuple):
    """Where the policy draws the lines. severe: numbers of the severe scenarios; amend: log of a step."""

    severe: NDArray[np.int64]
    warn: float
    near: float
    severe_deficiency: float
    equity_floor: float
    amend: float


@kernel
def _level(excess: float, gross: float, lines: _Lines) -> Level:
    if excess >= lines.near * gross + ROUNDING_REACH:
        return Level.CLEAR
    published = round_cents(excess)
    if published < 0.0:
        return Level.MARGIN_CALL
    if exceeds(lines.warn * round_cents(gross), published):
        return Level.WARNING
    if exceeds(lines.near * round_cents(gross), published):
        return Level.NEAR
    return Level.CLEAR


@kernel
def _deficiency(short: float, requirement: float, equity: float, lines: _Lines) -> int:
    """What a call's band says of its deficiency: how far it has grown, and whether it is severe."""
    code = _BUCKET * int(math.floor(math.log(max(1.0, short)) / lines.amend))
    severe = exceeds(short, lines.severe_deficiency * round_cents(requirement))
    if severe or round_cents(equity) < lines.equity_floor:
        code += BandFlag.SEVERE.value
    return code


@kernel
def _underwater(stressed: Floats, r: int, severe: NDArray[np.int64]) -> bool:
    """Whether the recomputed excess of an account is negative in any severe scenario."""
    worst = math.inf
    for n in range(len(severe)):
        worst = min(worst, stressed[r, severe[n]])
    return worst < 0.0 and round_cents(worst) < 0.0


@kernel
def _fill(now: _Standing, lines: _Lines, codes: Codes) -> None:
    """Write every account's band. A figure that is not known decides nothing."""
    for r in range(len(codes)):
        level = _level(now.excess[r], now.gross[r], lines)
        code = level.value
        if level == Level.MARGIN_CALL:
            code += _deficiency(-round_cents(now.excess[r]), now.requirement[r], now.equity[r], lines)
        if _underwater(now.stressed, r, lines.severe):
            code += BandFlag.STRESS.value
        if now.status[r] == Status.STALE:
            code += BandFlag.STALE.value
        codes[r] = code


def _entry(standing: tuple[Any, ...], lines: tuple[Any, ...], codes: Codes) -> None:
    _fill(_Standing(*standing), _Lines(*lines), codes)


_codes = kept_on_disk(_entry)


def band_codes(margin: Margin) -> Codes:
    """Each account's band as a code, shape (accounts,), decided on figures rounded to cents.

    NEAR is the hysteresis zone above the warning line, which an account must leave upwards to end a warning.
    A deficiency's step is the power of (1 + amend_step) it has reached, so every further amend_step is a new
    band.
    """
    ladder = margin.policy.ladder
    standing = _Standing(
        excess=margin.counted(margin.excess),
        gross=margin.gross_mv,
        requirement=margin.requirement,
        equity=margin.equity,
        status=margin.status,
        stressed=margin.counted(margin.stress_excess_recomputed),
    )
    lines = _Lines(
        severe=_severe_scenarios(margin),
        warn=ladder.warn_frac,
        near=ladder.warn_frac + ladder.warn_hysteresis,
        severe_deficiency=ladder.severe_deficiency,
        equity_floor=ladder.equity_floor,
        amend=math.log1p(ladder.amend_step),
    )
    codes = np.empty(len(margin.equity), dtype=np.int32)
    _codes(tuple(standing), tuple(lines), codes)
    return codes


def _severe_scenarios(margin: Margin) -> NDArray[np.int64]:
    """Numbers of the scenarios of at least `severe_move`; none where the scenarios were not recomputed."""
    stress = margin.policy.stress
    if not len(margin.stress_excess_recomputed):
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.abs(np.array(stress.scenarios)) >= stress.severe_move - 1e-12)


def levels(codes: Codes) -> Codes:
    """The Level of each code."""
    return codes & 3


def level(code: int) -> Level:
    """The level of a code."""
    return Level(code & 3)


def band_name(code: int) -> str:
    """The band as on margin.status.v1, e.g. CLEAR, WARNING, MARGIN_CALL.38+SEVERE+STRESS, CLEAR+STALE."""
    step = f".{code // _BUCKET}" if level(code) == Level.MARGIN_CALL else ""
    return level(code).name + step + "".join(f"+{flag.name}" for flag in BandFlag if code & flag)
