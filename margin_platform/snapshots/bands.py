"""Bands: where an account stands, coarsely enough that margin.status.v1 follows decisions and not ticks.

A band is what can change a decision of the ladder: the level (clear, near the warning line, warning, call),
how far a deficiency has grown, whether it is severe, whether a severe SPY scenario is underwater, and whether
a price is stale.
"""

from __future__ import annotations

import math
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.sweep.columns import Status
from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel
from margin_platform.kernel.sweep.whole_cents import published_equity, published_excess, published_gross
from margin_platform.money import ROUNDING_REACH, exceeds, round_cents

if TYPE_CHECKING:  # the compiled code does not depend on it
    from margin_platform.kernel.evaluate import Margin

LEVEL_BITS = 3  # of a band's code
_BUCKET = 256  # the deterioration step of a deficiency counts in these, above level and flags

_NONE = np.zeros(0, dtype=np.int64)  # where the scenarios were not recomputed

Codes = NDArray[np.int32]
Floats = NDArray[np.float64]


class Level(IntEnum):
    """How close an account is to a call: the lowest bits of a band's code."""

    CLEAR = 0
    NEAR = 1
    WARNING = 2
    MARGIN_CALL = 3


class BandFlag(IntFlag):
    """What a band adds to its level. Compiled code reads a member's `value`."""

    SEVERE = 4
    STRESS = 8
    STALE = 16


class _Standing(NamedTuple):
    """Columns of what decides a band, by account. stressed: recomputed excess, (accounts, scenarios)."""

    long_mv: Floats
    short_mv: Floats
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
    small: float
    amend: float


@kernel
def _level(now: _Standing, r: int, excess: float, lines: _Lines) -> Level:
    """Return the level of an account, given its published excess."""
    if excess < 0.0:
        return Level.MARGIN_CALL
    gross = published_gross(now.long_mv[r], now.short_mv[r])
    if exceeds(lines.warn * gross, excess):
        return Level.WARNING
    if exceeds(lines.near * gross, excess):
        return Level.NEAR
    return Level.CLEAR


@kernel
def _deficiency(short: float, requirement: float, equity: float, lines: _Lines) -> int:
    """Return the part of a call's band for its deficiency: how far it has grown, and whether it is severe."""
    code = _BUCKET * int(math.floor(math.log(max(1.0, short)) / lines.amend))
    severe = exceeds(short, lines.severe_deficiency * round_cents(requirement))
    if severe or equity < lines.equity_floor:
        code += BandFlag.SEVERE.value
    return code


@kernel
def _far_above(now: _Standing, r: int, lines: _Lines) -> bool:
    """Report whether an account is so far above every line that rounding decides nothing."""
    line: float = lines.near * (now.long_mv[r] + now.short_mv[r]) + ROUNDING_REACH
    excess: float = now.equity[r] - now.requirement[r]
    return excess >= line


@kernel
def _near_a_line(now: _Standing, r: int, lines: _Lines) -> int:
    """Return the level of an account on its published figures, and the part of a call's band for its
    deficiency."""
    net = now.long_mv[r] - now.short_mv[r]
    excess = published_excess(now.equity[r], net, now.requirement[r])
    if -lines.small <= excess < 0.0:
        excess = 0.0
    level = _level(now, r, excess, lines)
    if level != Level.MARGIN_CALL:
        return level.value
    equity = published_equity(now.equity[r], net)
    return level.value + _deficiency(-excess, now.requirement[r], equity, lines)


@kernel
def _underwater(stressed: Floats, r: int, severe: NDArray[np.int64]) -> bool:
    """Report whether the recomputed excess of an account is negative in any severe scenario."""
    worst = math.inf
    for n in range(len(severe)):
        worst = min(worst, stressed[r, severe[n]])
    return worst < 0.0 and round_cents(worst) < 0.0


@kernel
def _fill(now: _Standing, lines: _Lines, codes: Codes) -> None:
    """Write every account's band. A figure that is not known decides nothing."""
    for r in range(len(codes)):
        code = Level.CLEAR.value
        if not _far_above(now, r, lines):
            code = _near_a_line(now, r, lines)
        if _underwater(now.stressed, r, lines.severe):
            code += BandFlag.STRESS.value
        if now.status[r] == Status.STALE:
            code += BandFlag.STALE.value
        codes[r] = code


def _entry(standing: tuple[Any, ...], lines: tuple[Any, ...], codes: Codes) -> None:
    _fill(_Standing(*standing), _Lines(*lines), codes)


_codes = kept_on_disk(_entry)


def band_codes(margin: Margin) -> Codes:
    """Return each account's band as a code, shape (accounts,), decided on figures rounded to cents.

    NEAR is the hysteresis zone above the warning line, which an account must leave upwards to end a warning.
    A deficiency's step is the power of (1 + amend_step) it has reached, so every further amend_step is a new
    band.
    """
    ladder, stress = margin.policy.ladder, margin.policy.stress
    recomputed = len(margin.stress_excess_recomputed) > 0
    severe = _severe_scenarios(tuple(stress.scenarios), stress.severe_move) if recomputed else _NONE
    standing = _Standing(
        long_mv=margin.long_mv,
        short_mv=margin.short_mv,
        requirement=margin.requirement,
        equity=margin.equity,
        status=margin.status,
        stressed=margin.counted(margin.stress_excess_recomputed),
    )
    lines = _Lines(
        severe=severe,
        warn=ladder.warn_frac,
        near=ladder.warn_frac + ladder.warn_hysteresis,
        severe_deficiency=ladder.severe_deficiency,
        equity_floor=ladder.equity_floor,
        small=ladder.small_deficiency,
        amend=math.log1p(ladder.amend_step),
    )
    codes = np.empty(len(margin.equity), dtype=np.int32)
    _codes(tuple(standing), tuple(lines), codes)
    return codes


@lru_cache(maxsize=64)
def _severe_scenarios(moves: tuple[float, ...], severe_move: float) -> NDArray[np.int64]:
    """List the numbers of the scenarios of at least `severe_move`."""
    return np.flatnonzero(np.abs(np.array(moves)) >= severe_move - 1e-12)


def levels(codes: Codes) -> Codes:
    """Return the Level of each code."""
    return codes & LEVEL_BITS


def level(code: int) -> Level:
    """Return the level of a code."""
    return Level(code & LEVEL_BITS)


def band_name(code: int) -> str:
    """Return the band as on margin.status.v1, e.g."""
    step = f".{code // _BUCKET}" if level(code) == Level.MARGIN_CALL else ""
    return level(code).name + step + "".join(f"+{flag.name}" for flag in BandFlag if code & flag)
