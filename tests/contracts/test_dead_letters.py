"""A dead letter can always be published:
whatever was refused, it is smaller than any broker's limit and says what it left out.
"""

from __future__ import annotations

import io
import logging

import orjson
import pytest

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import PRICES, BadEvent, Event, decode, encode
from margin_platform.contracts.visible_text import VisibleFormatter

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


LONG = "N\n\x1b[2J" + "x" * 4_000_000


@pytest.mark.parametrize(
    "refused",
    [
        BadEvent("symbol", LONG, "unknown symbol"),
        BadEvent(LONG, 1, "unknown field"),
        BadEvent("timestamp", 1, f"missing; {LONG} stands there"),
        BadEvent("account_id", orjson.loads(b"[" * 1000 + b"]" * 1000), "not a text"),
    ],
    ids=["value", "field", "reason", "deep value"],
)
def test_what_a_log_and_a_letter_say_of_a_refusal_is_one_short_line_that_names_the_length(
    refused: BadEvent,
) -> None:
    assert len(str(refused)) < 1_300
    assert str(refused).isprintable()
    told = dead_letter(PRICES, 0, 0, b"{}", refused, 1)
    assert len(encode(told)) < 5_000
    if refused.field != "account_id":
        assert "characters in all)" in str(refused)
        assert "characters in all)" in told["reason"] + told["field"] + told["value"]


def test_a_line_of_a_log_is_cut_where_it_is_long() -> None:
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.setFormatter(VisibleFormatter("%(message)s"))
    log = logging.Logger("long")
    log.addHandler(handler)
    log.warning("not from a refusal: %s", "x" * 70_000)
    assert len(lines.getvalue()) < 10_100
    assert lines.getvalue().endswith("... (cut: 70020 characters in all)\n")


@pytest.mark.parametrize("depth", [65, 300, 1000])
@pytest.mark.parametrize("name", ["price", "account", "symbol"])
def test_a_message_that_nests_too_deeply_to_be_written_again_is_refused(depth: int, name: str) -> None:
    good = {"symbol": "AAPL", "price": 100.5, "timestamp": 1_582_232_400_000}
    raw = encode(good | {name: "DEEP"}).replace(b'"DEEP"', b"[" * depth + b"]" * depth)
    with pytest.raises(BadEvent, match="value: nested more than 64 deep") as refused:
        decode(PRICES, raw)
    encode(dead_letter(PRICES, 0, 0, raw, refused.value, 1))
