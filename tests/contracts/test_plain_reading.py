"""Plain reading accepts nothing that `decode` refuses, and reads what it accepts as `decode` does."""

from __future__ import annotations

import random

import pytest
from msgspec import UNSET

from margin_platform.contracts.messages import CASH, FILLS, PRICES, BadEvent, decode, encode
from margin_platform.contracts.plain_reading import of_topic

AT = 1_790_000_000_000
NAMES = {"fill_id": "f-1", "account_id": "A1", "symbol": "AAPL"}
SOUND = {
    FILLS: NAMES | {"qty": -100.5, "price": 101.25, "timestamp": AT, "fee": -0.35, "venue": "ARCA"},
    PRICES: {"symbol": "AAPL", "price": 99, "timestamp": AT, "sequence": 7, "confirmed": True},
    CASH: {"transfer_id": "t", "account_id": "A1", "amount": -1e6, "timestamp": AT},
}
PIECES = (b'"', b"\\", b"\\u0041", b":", b",", b"{", b"}", b"[", b"-", b"0", b"1e3", b".5", b"00", b"9" * 30)
PIECES += (
    b"null",
    b"true",
    b"NaN",
    b" ",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xc3\xa9",
    b"\xff",
    b"\xef\xbb\xbf",
    b"e400",
)
PIECES += (b'"fee":1,', b'"price":1,', b'"side":"SELL",', b'"qty":0,', b'"sequence":18446744073709551616,')


def _bent(message: bytes, chance: random.Random) -> bytes:
    """A message with a few pieces put in, taken out or doubled."""
    for _ in range(chance.randrange(3)):
        at, to = sorted(chance.randrange(len(message) + 1) for _ in range(2))
        piece = chance.choice((*PIECES, message[at:to], b""))
        message = message[:at] + piece + message[chance.choice((at, at, min(at + 1, len(message)), to)) :]
    return message


@pytest.mark.parametrize("topic", SOUND)
def test_what_is_read_plainly_is_what_decode_reads(topic: str) -> None:
    chance = random.Random(17)
    reading, sound = of_topic(topic), encode(SOUND[topic])
    accepted = 0
    for _ in range(30):
        values = [sound, *(_bent(sound, chance) for _ in range(60))]
        messages, columns, doubtful = reading.read(values)
        assert [n for n, m in enumerate(messages) if m is None] == doubtful
        for n, value in enumerate(values):
            try:
                expected = decode(topic, value)
            except BadEvent:
                assert n in doubtful, value
                continue
            if n in doubtful:
                continue
            accepted += 1
            found = {name: getattr(messages[n], name) for name in columns}
            assert {k: v for k, v in found.items() if v is not UNSET} == expected, value
        assert all(len(column) == len(values) - len(doubtful) for column in columns.values())
    assert accepted > 300


def test_a_sound_batch_is_read_as_a_whole() -> None:
    messages, columns, doubtful = of_topic(FILLS).read([encode(SOUND[FILLS])] * 3)
    assert doubtful == []
    assert columns["qty"] == [-100.5] * 3
    assert messages[0].order_id is UNSET


@pytest.mark.parametrize(
    "change",
    [
        {"fill_id": "f 1"},
        {"fill_id": "x" * 256},
        {"account_id": "Ä"},
        {"price": 999_999.99},
        {"qty": 1e-6},
        {"fill_id": "x" * 257},
        {"symbol": " A"},
        {"exchange": "ARCA"},
    ],
)
def test_what_needs_a_second_look_is_left_to_decode(change: dict[str, object]) -> None:
    """Each beside a sound message, which is not held up."""
    event = SOUND[FILLS] | change
    _, columns, doubtful = of_topic(FILLS).read([encode(event), encode(SOUND[FILLS])])
    try:
        expected = decode(FILLS, encode(event))
    except BadEvent:
        assert doubtful == [0]
    else:
        assert doubtful == [0] or columns["fill_id"][0] == expected["fill_id"]
    assert columns["fill_id"][-1] == "f-1"
