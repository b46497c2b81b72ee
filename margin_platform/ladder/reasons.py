"""The reasons of decisions that compare amounts, as a customer and a margin clerk read them."""

from __future__ import annotations

from margin_platform.dollars import format_dollars


def deficient(equity: float, deficiency: float, requirement: float) -> str:
    """Return why a call is made."""
    by = f"{format_dollars(deficiency)} below the requirement of {format_dollars(requirement)}"
    return f"Equity {format_dollars(equity)} is {by}"


def increased(before: float, now: float) -> str:
    """Return why a call asks for more."""
    return f"Call increased from {format_dollars(before)} to {format_dollars(now)}; due date unchanged"


def reduced(before: float, now: float) -> str:
    """Return why a call asks for less."""
    amounts = f"from {format_dollars(before)} to {format_dollars(now)}"
    return f"Call reduced {amounts}: a price was withdrawn; due date unchanged"


def low(excess: float, share: float, gross: float) -> str:
    """Return why a warning is given."""
    return f"Excess {format_dollars(excess)} is below {share:.1%} of gross value {format_dollars(gross)}"
