"""Plain reading accepts nothing that `decode` refuses, and reads what it accepts as `decode` does."""

from __future__ import annotations

import random

import pytest

from margin_platform.contracts.messages import CASH, FILLS, PRICES, BadEvent, Event, decode, encode
from margin_platform.contracts.topics import TOPICS
from margin_platform.message_columns.json_columns import Given
from margin_platform.message_columns.plain_reading import Columns, of_topic

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


def _message(topic: str, columns: Columns, row: int) -> Event:
    """A message as the columns have it."""
    found: Event = {}
    for field in TOPICS[topic].check.fields:
        given = columns.found.given[columns.places[field.name], row]
        if given == Given.NULL:
            found[field.name] = None
        elif given == Given.VALUE:
            kind = field.kind.schema["type"]
            column = {"string": columns.texts, "number": columns.numbers}.get(str(kind), columns.whole)
            value = column(field.name)
            found[field.name] = value[row] if kind != "string" else columns.texts(field.name).strings()[row]
    return found


@pytest.mark.parametrize("topic", SOUND)
def test_what_is_read_plainly_is_what_decode_reads(topic: str) -> None:
    chance = random.Random(17)
    reading, sound = of_topic(topic), encode(SOUND[topic])
    accepted = 0
    for _ in range(30):
        values = [sound, *(_bent(sound, chance) for _ in range(60))]
        columns, doubtful = reading.read(values)
        for n, value in enumerate(values):
            try:
                expected = decode(topic, value)
            except BadEvent:
                assert n in doubtful, value
                continue
            if n not in doubtful:
                accepted += 1
                assert _message(topic, columns, n) == expected, value
    assert accepted > 300


def test_a_sound_batch_is_read_as_a_whole() -> None:
    columns, doubtful = of_topic(FILLS).read([encode(SOUND[FILLS])] * 3)
    assert not len(doubtful)
    assert columns.numbers("qty").tolist() == [-100.5] * 3
    assert columns.texts("order_id").strings() == [""] * 3


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "7", "-7", "0.1", "101.25", "1e3", "123456789.123456", "9007199254740993", "00", "01", ".5"]
    + ["0.1234567890123456789", "0.30000000000000004", "33.333333333333336", "12345678901234567890", "1."]
    + [
        "1000000000.0000000001",
        "-",
        "1.e",
        "1.5.5",
        "0x1",
        "Infinity",
        "0." + "0" * 30 + "1",
        "1" * 400,
        "1E+2",
        "1e-5",
        "1.25e1",
        "1e",
        "1e+",
        "1e400",
    ],
)
def test_a_number_is_read_as_decode_reads_it(number: str) -> None:
    value = encode(SOUND[FILLS] | {"fee": 0}).replace(b'"fee":0', b'"fee":' + number.encode())
    columns, doubtful = of_topic(FILLS).read([value, encode(SOUND[FILLS])])
    try:
        expected = decode(FILLS, value)
    except BadEvent:
        assert 0 in doubtful
    else:
        assert 0 in doubtful or columns.numbers("fee")[0] == expected["fee"]
    assert 1 not in doubtful


def test_what_was_read_field_by_field_takes_its_place_among_the_columns() -> None:
    odd = SOUND[FILLS] | {"account_id": "Ä", "fee": None, "qty": 2}
    columns, doubtful = of_topic(FILLS).read([encode(odd), encode(SOUND[FILLS])])
    assert doubtful.tolist() == [0]
    columns = columns.with_events({0: odd})
    assert [_message(FILLS, columns, n) for n in (0, 1)] == [odd, SOUND[FILLS]]


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
    columns, found = of_topic(FILLS).read([encode(event), encode(SOUND[FILLS])])
    doubtful, fill_ids = found.tolist(), columns.texts("fill_id").strings()
    try:
        expected = decode(FILLS, encode(event))
    except BadEvent:
        assert doubtful == [0]
    else:
        assert doubtful == [0] or fill_ids[0] == expected["fill_id"]
    assert fill_ids[-1] == "f-1"
