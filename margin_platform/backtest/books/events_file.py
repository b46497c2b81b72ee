"""Events on the way of a run as a file:
one JSON object a line, `topic` (fills.v1, cash.v1, corporate_actions.v1) and its fields.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from margin_platform.backtest.engine.job import Trade
from margin_platform.contracts.messages import CASH, CORPORATE_ACTIONS, FILLS, BadEvent, checked
from margin_platform.documents.book_input import InputError, loads

TAKEN = (FILLS, CASH, CORPORATE_ACTIONS)
Line = tuple[int, Trade]  # its number, as an editor counts


def read(path: Path) -> list[Line]:
    """Read the events of a file.

    InputError names the line, the field and the value refused; OSError where it cannot be read.
    """
    found = []
    for number, text in enumerate(path.read_bytes().splitlines(), start=1):
        if not text.strip():
            continue
        try:
            event = loads(text)
            if not isinstance(event, dict):
                raise BadEvent("topic", None, f"not one of {', '.join(TAKEN)}")
            topic = event.get("topic")
            if topic not in TAKEN:
                raise BadEvent("topic", topic, f"not one of {', '.join(TAKEN)}")
            event = checked(topic, {name: value for name, value in event.items() if name != "topic"})
        except (BadEvent, InputError) as error:
            raise InputError(f"events line {number}, {error.field}", error.value, error.reason) from error
        found.append((number, (topic, event)))
    return found


def symbols(lines: Sequence[Line]) -> set[str]:
    """Return every symbol the events are about."""
    return {
        event[name]
        for _, (_, event) in lines
        for name in ("symbol", "new_symbol")
        if event.get(name) is not None
    }


def trades(lines: Sequence[Line], accounts: Collection[str], instruments: Collection[str]) -> list[Trade]:
    """Return the events, for a run of these accounts and instruments. InputError names the line of any
    other."""
    for number, (_, event) in lines:
        for field, kind, known in (
            ("account_id", "account", accounts),
            ("symbol", "symbol", instruments),
            ("new_symbol", "symbol", instruments),
        ):
            if event.get(field) is not None and event[field] not in known:
                raise InputError(f"events line {number}, {field}", event[field], f"unknown {kind}")
    return [trade for _, trade in lines]
