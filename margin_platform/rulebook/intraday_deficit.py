"""Intraday margin deficit of a day: FINRA 4210(d)(2) as amended by SR-FINRA-2025-017 (Regulatory Notice
26-10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margin_platform.policy.sections import IntradayPolicy


@dataclass(frozen=True)
class IntradayDeficit:
    """deficit: largest negative level straight after an IML-reducing transaction, as a positive amount;
    minor: within de minimis.

    day_low is the lowest level of the day at any time, kept beside it because two readings of the rule are in
    circulation.
    """

    deficit: float
    minor: bool
    day_low: float


def intraday_deficit(
    levels: Sequence[float], equities: Sequence[float], reducing: Sequence[bool], rules: IntradayPolicy
) -> IntradayDeficit:
    """Return the deficit of a day from its levels in order: level = equity less maintenance after each event,
    dollars.

    `reducing` marks the events that are purchases, sales or withdrawals lowering the level: a fall in price
    alone never creates a deficit, and a later recovery does not remove one. A deficit of no more than the
    lesser of `imd_minor_share` of equity and `imd_minor_dollars` is minor.
    """
    worst, equity = 0.0, 0.0
    for level, at_equity, counts in zip(levels, equities, reducing, strict=True):
        if counts and level < worst:
            worst, equity = level, at_equity
    minor = -worst <= min(rules.imd_minor_share * equity, rules.imd_minor_dollars)
    return IntradayDeficit(-worst, worst == 0.0 or minor, min([0.0, *levels]))
