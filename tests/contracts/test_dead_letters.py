"""A dead letter can always be published:
whatever was refused, it is smaller than any broker's limit and says what it left out.
"""

from __future__ import annotations

import pytest

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import PRICES, BadEvent, Event, encode

KAFKA_DEFAULT = 1_048_576  # bytes: message.max.bytes of a broker with default settings


def letter(raw: bytes | None, value: object = None) -> Event:
    return dead_letter(PRICES, 0, 0, raw, BadEvent("value", value, "not JSON"), 1)


@pytest.mark.parametrize(
    "byte",
    [b"\xff", b"\0", b"a", "é".encode()],
    ids=["no text", "control characters", "ASCII", "two bytes each"],
)
def test_an_oversized_message_is_cut_and_says_how_long_it_was(byte: bytes) -> None:
    told = letter(byte * 8_000_000, byte.decode(errors="replace") * 8_000_000)
    assert len(encode(told)) < KAFKA_DEFAULT
    assert told["raw"].endswith(f"... (cut: {len(byte) * 8_000_000} bytes in all)")
    assert told["value"].endswith("... (cut: 8000000 characters in all)")
    assert told["raw"].startswith(byte.decode(errors="replace") * 20_000)


def test_what_fits_is_kept_whole() -> None:
    raw = b"r" * 65_536
    told = letter(raw, "v" * 1_000)
    assert (told["raw"], told["value"]) == (raw.decode(), "v" * 1_000)
    empty = letter(None)
    assert (empty["raw"], empty["value"]) == ("", None)


def test_what_a_log_says_of_a_refused_value_is_short() -> None:
    assert len(str(BadEvent("symbol", "N" * 4_000_000, "unknown symbol"))) < 1_100
