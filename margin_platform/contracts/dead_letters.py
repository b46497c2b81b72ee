"""Dead letters: what dead_letter.v1 reports of a refused message, in a size that every broker takes.

A letter too large for the topic would fail the batch or the run that refused the message, and fail it again
at each repetition.
"""

from __future__ import annotations

from margin_platform.contracts.messages import BadEvent, Event

# of the message: at most six times as much as JSON, where each byte is a control character
_RAW_BYTES = 65_536
_VALUE_CHARACTERS = 1_000


def dead_letter(
    topic: str, partition: int, offset: int, raw: bytes | None, error: BadEvent, timestamp: int
) -> Event:
    """Build the dead_letter.v1 event of a refused message: where it stood, what was wrong, and the message
    itself or its beginning.
    """
    return {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "reason": error.reason,
        "field": error.field,
        "value": value_of(error),
        "raw": _raw(raw or b""),
        "timestamp": timestamp,
    }


def value_of(error: BadEvent) -> str | None:
    """Return the refused value as text; of a long one its beginning, and how long it is."""
    if error.value is None:
        return None
    text = str(error.value)
    return (
        text
        if len(text) <= _VALUE_CHARACTERS
        else f"{text[:_VALUE_CHARACTERS]}... (cut: {len(text)} characters in all)"
    )


def _raw(message: bytes) -> str:
    text = message[:_RAW_BYTES].decode(errors="replace")
    return text if len(message) <= _RAW_BYTES else f"{text}... (cut: {len(message)} bytes in all)"
