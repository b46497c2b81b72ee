"""What the keeper has done with the components of a stack, and which of them have ended for good."""

from __future__ import annotations

import time
from pathlib import Path

from margin_platform.stack import components
from margin_platform.stack.keeping import budget, record
from margin_platform.stack.state import StackState


def kept(name: str, known: StackState) -> tuple[int, str | None]:
    """Return how often the keeper has started a component again of late, and why it does not any more."""
    found = record.load(Path(known.data)).components.get(name)
    return (0, None) if found is None else (len(budget.counted(found.restarts, time.time())), found.given_up)


def ended_for_good(known: StackState) -> set[str]:
    """Return the components that have ended and that no living keeper will start again."""
    ended = set(known.components) - set(known.living())
    if components.KEEPER not in known.living():
        return ended
    given_up = {name for name, found in record.load(Path(known.data)).components.items() if found.given_up}
    return ended & given_up
