"""Published figures of one account inside compiled code: bands and statuses are decided on whole cents.

`kernel.published` makes the same figures of columns.
"""

from __future__ import annotations

from margin_platform.kernel.sweep.compiled import inlined
from margin_platform.money import round_cents


@inlined
def published_equity(equity: float, net: float) -> float:
    """Return equity as cash plus net market value, each in whole cents. Cash in whole cents stays what it
    is."""
    return round_cents(round_cents(equity - net) + round_cents(net))


@inlined
def published_excess(equity: float, net: float, requirement: float) -> float:
    """Return published equity less the published requirement."""
    return round_cents(published_equity(equity, net) - round_cents(requirement))


@inlined
def published_gross(long_mv: float, short_mv: float) -> float:
    """Return gross value as published: the net in whole cents, and twice the shorts."""
    return round_cents(round_cents(long_mv - short_mv) + 2.0 * round_cents(short_mv))
