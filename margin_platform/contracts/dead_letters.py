"""Dead letters: what dead_letter.v1 reports of a refused message, in a size that every broker takes.

A letter too large for the topic would fail the batch or the run that refused the message, and fail it again
at each repetition.
"""

from __future__ import annotations

from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.contracts.visible_text import in_words, shortened

# of the message: at most six times as much as JSON, where each byte is a control character
_RAW_BYTES = 65_536


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
        **stated(error),
        "raw": _raw(raw or b""),
        "timestamp": timestamp,
    }


def stated(error: BadEvent) -> Event:
    """Return what a dead letter says of a refusal: of a long text its beginning, and how long it is."""
    value = error.value if isinstance(error.value, str) else in_words(error.value)
    return {
        "reason": shortened(error.reason),
        "field": shortened(error.field),
        "value": None if error.value is None else shortened(value),
    }


def _raw(message: bytes) -> str:
    text = message[:_RAW_BYTES].decode(errors="replace")
    return text if len(message) <= _RAW_BYTES else f"{text}... (cut: {len(message)} bytes in all)"
