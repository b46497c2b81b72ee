"""When a deficiency is severe: what is sold then does not wait for the due time (MARGIN_RULES 7)."""

from __future__ import annotations

from margin_platform.money import exceeds
from margin_platform.policy.sections import LadderPolicy


def is_severe(deficiency: float, requirement: float, equity: float, rules: LadderPolicy) -> bool:
    """Report whether a deficiency (dollars, positive) is severe, by its share of the requirement or by what
    is left of the equity.
    """
    return exceeds(deficiency, rules.severe_deficiency * requirement) or equity < rules.equity_floor
