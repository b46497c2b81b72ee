"""Field cases 17 and 23 to 25: names, repeated keys, rebates, and quantities finer than the ledger keeps."""

from __future__ import annotations

import pytest

from margin_platform.contracts.messages import CASH, FILLS, PRICES, BadEvent, decode, encode
from margin_platform.documents.book_input import InputError, parse
from tests.support.field_events import FILL, GOOD, T, book_with, refused_with
from tests.support.recorded import Replay, replayed

# -- 23: ids


INVISIBLE = [
    "A ",
    " A",
    "A\t",
    "A\n",
    "A\r",
    "\u00a0A",
    "A\u200b",
    "A\u200d",
    "A\u202e",
    "\u2066A",
    "\ufeffA",
    "A\u00ad",
    "A\u2028",
    "A\x00",
    "A\x1b[31m",
    "A\u3164",
    "A\u2800",
    "A\u034f",
    "A\ufe0f",
    "A\u3000B",
    "e\u0301",
    "A\x85",
    "A\x7f",
    "\u115fA",
]


@pytest.mark.parametrize("name", INVISIBLE, ids=ascii)
def test_a_name_with_what_no_screen_shows_is_refused_everywhere(name: str) -> None:
    for topic, field in (
        (FILLS, "account_id"),
        (FILLS, "fill_id"),
        (CASH, "transfer_id"),
        (PRICES, "symbol"),
    ):
        assert refused_with(topic, **{field: name}).field == field
    with pytest.raises(InputError, match="account_id"):
        parse({"accounts": [{"account_id": name, "cash": 0}]})
    with pytest.raises(InputError, match="symbol"):
        parse(book_with(symbol=name))


@pytest.mark.parametrize(
    "name", ["ACC-1001", "BRK.B", "Müller GmbH", "口座-7", "a b", "x" * 256, "😀", "O'Neil & Sons"]
)
def test_a_name_a_person_can_read_is_taken(name: str) -> None:
    assert decode(CASH, encode(GOOD[CASH] | {"account_id": name}))["account_id"] == name


def test_one_customer_is_one_account() -> None:
    replay = replayed("23-invisible-characters-in-ids/events.jsonl")
    assert replay.engine.ledger.account_ids() == ["ACC-1001"]
    assert {field for _, field in replay.refused()} == {"account_id"}
    assert len(replay.dead) == 5


# -- 24: a key given twice


@pytest.mark.parametrize(
    "raw",
    [
        '{"fill_id":"x","account_id":"A","symbol":"AAA","qty":100,"price":100,"timestamp":%d,"qty":-100}',
        '{"qty":-100,"fill_id":"x","account_id":"A","symbol":"AAA","price":100,"timestamp":%d,"qty":-100}',
        '{"fill_id":"x:1","account_id":"A:B","symbol":"AAA","qty":1,"price":100,"timestamp":%d,"qty":2}',
        '{"fill_id":"x","account_id":"A","symbol":"AAA","\\u0071ty":1,"price":100,"timestamp":%d,"qty":2}',
        '{"fill_id":"x","account_id":"A","symbol":"AAA","qty":1,"price":100,"timestamp":%d,"note":"a","note":"b"}',
        '{"fill_id":"x","account_id":"A","symbol":"AAA","qty":1,"price":100,"timestamp":%d,"more":{"a":1,"a":2}}',
        '{"fill_id":"x","account_id":"A","symbol":"AAA","qty":1,"price":100,"timestamp":%d,"more":[{"a":1},{"b":1,"b":2}]}',
        '{"fill_id":"x","account_id":"A","account_id":"A","symbol":"AAA","qty":1,"price":100,"timestamp":%d}',
    ],
)
def test_a_key_given_twice_is_refused(raw: str) -> None:
    with pytest.raises(BadEvent, match="given twice in one object"):
        decode(FILLS, (raw % T).encode())


def test_text_with_colons_is_no_key_given_twice() -> None:
    assert decode(FILLS, encode(FILL | {"fill_id": 'x:1:"y":2', "order_id": "a:b"}))["order_id"] == "a:b"


def test_a_fill_with_two_quantities_books_nothing() -> None:
    replay = replayed("24-duplicate-json-key-on-a-topic/events.jsonl")
    assert (replay.engine.ledger.positions("A"), replay.refused()) == ({}, [(FILLS, "qty")])


# -- 25: rebates


def test_a_rebate_is_booked_with_its_fill() -> None:
    replay = replayed("25-fee-that-is-a-rebate/events.jsonl")
    assert replay.engine.ledger.positions("A") == {"AAA": -100.0}
    assert replay.engine.ledger.cash("A") == 30_000.23
    assert replay.dead == []


@pytest.mark.parametrize("fee", [-0.23, -0.01, 0, 0.0, None, 1, 12.5, -50_000])
def test_any_fee_moves_cash_by_just_that(fee: float | None) -> None:
    replay = Replay("AAA")
    replay.take(
        {"topic": "accounts.v1", "event": {"account_id": "A", "margin_type": "REG_T", "timestamp": T}}
    )
    replay.take({"topic": FILLS, "event": FILL | {"fee": fee}})
    assert replay.engine.ledger.cash("A") == -10_000 - (fee or 0)
    assert replay.engine.ledger.positions("A") == {"AAA": 100.0}


# -- 17: finer than the ledger keeps


def test_a_quantity_that_rounds_to_nothing_takes_no_cash() -> None:
    replay = replayed("17-below-the-finest-share/events.jsonl")
    assert (replay.engine.ledger.cash("A"), replay.engine.ledger.positions("A")) == (5000.0, {})
    assert len(replay.dead) == 1000
    assert replay.dead[0]["field"] == "qty"


def test_thirds_bought_and_sold_whole_leave_nothing() -> None:
    replay = replayed("17-below-the-finest-share/thirds.jsonl")
    assert (replay.engine.ledger.positions("A"), replay.dead) == ({}, [])
    assert replay.figures("A")["equity"] == 5000.01  # three thirds cost 33.33 each and bring 100.00


@pytest.mark.parametrize("parts", [3, 6, 7, 9, 11, 13, 17, 19, 23])
def test_a_share_bought_in_parts_and_sold_whole_is_flat_also_after_a_restart(parts: int) -> None:
    """Nothing is left of 1/n bought n times, to any digits a feed gives, and sold:
    live, restored and as a book.
    """
    replay = Replay("AAA")
    replay.take(
        {"topic": "accounts.v1", "event": {"account_id": "A", "margin_type": "REG_T", "timestamp": T}}
    )
    for n in range(parts):
        replay.take({"topic": FILLS, "event": FILL | {"fill_id": f"f{n}", "qty": round(1 / parts, 10)}})
    replay.take({"topic": FILLS, "event": FILL | {"fill_id": "sold", "qty": -1}})
    ledger = replay.engine.ledger
    restored = type(ledger).from_state(ledger.to_state(), ["AAA"], require_account=True)
    for one in (ledger, restored):
        assert one.positions("A") == {}
        assert len(one.book({"AAA": 0}).symbol) == 0


@pytest.mark.parametrize("qty", [4e-7, 6e-7, 1.5e-6, -4e-7, 1e-9, 2.5e-6, -1.4e-6, 1e-300])
def test_a_quantity_the_ledger_would_change_is_refused(qty: float) -> None:
    assert "finer than 1e-06" in refused_with(FILLS, qty=qty).reason
