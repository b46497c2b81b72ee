"""How often a component may be started again, and how long each further start waits. Pure."""

from __future__ import annotations

from collections.abc import Sequence

MOST_STARTS = 5  # starts within the window; the next end of the component is left to a person
WITHIN_S = 600.0
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0


def counted(restarts: Sequence[float], now: float) -> list[float]:
    """Return the restarts that still count, of times in epoch seconds.

    A clock that was set back forgets none.
    """
    return [at for at in restarts if now - at < WITHIN_S]


def is_spent(restarts: Sequence[float], now: float) -> bool:
    """Report whether no restart is left now."""
    return len(counted(restarts, now)) >= MOST_STARTS


def due_at(restarts: Sequence[float], now: float) -> float:
    """Return when the next restart may be, epoch seconds.

    The first is immediate; each wait is twice the one before.
    """
    recent = counted(restarts, now)
    if not recent:
        return now
    return recent[-1] + min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (len(recent) - 1))
