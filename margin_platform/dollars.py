"""Dollars and moves of prices as people read them. Rounding is in `money`."""

from __future__ import annotations

import math


def format_dollars(amount: float | None) -> str:
    """Format dollars for people: -$1,234.56; a dash where the figure is unknown."""
    if amount is None or math.isnan(amount):
        return "–"
    return f"{'-' if amount < 0 else ''}${abs(amount):,.2f}"


def format_move(move: float) -> str:
    """Format a move of a price for people, signed, no digit lost: -8%, +0%, +1.5%."""
    return f"{100 * move:+.6g}%"
