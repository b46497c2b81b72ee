"""Field cases of units, identity and half-booked events:
the right value of each, and other members of its kind.
"""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform.contracts.bounds import TIME
from margin_platform.contracts.messages import (
    BETAS,
    CASH,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    decode,
    encode,
)
from margin_platform.documents.book_input import InputError, loads, parse
from tests.support.recorded import CASES, Replay, replayed

T = 1_704_816_000_000
FILL = {"fill_id": "f", "account_id": "A", "symbol": "AAA", "qty": 100, "price": 100, "timestamp": T}
GOOD: dict[str, dict[str, Any]] = {
    FILLS: FILL,
    CASH: {"transfer_id": "c", "account_id": "A", "amount": 5000, "timestamp": T},
    PRICES: {"symbol": "AAA", "price": 100, "timestamp": T},
    BETAS: {"symbol": "AAA", "beta": 1.2, "timestamp": T},
    VOLATILITY: {"symbol": "AAA", "volatility_annual": 0.25, "timestamp": T},
}


def _refused(topic: str, **changed: Any) -> BadEvent:
    with pytest.raises(BadEvent) as refused:
        decode(topic, encode(GOOD[topic] | changed))
    return refused.value


def _book(**position: Any) -> dict[str, Any]:
    return {
        "accounts": [
            {
                "account_id": "A",
                "cash": 0,
                "positions": [{"symbol": "AAA", "qty": 100, "price": 100} | position],
            }
        ]
    }


# -- 14: seconds, microseconds, nanoseconds


@pytest.mark.parametrize("file", ["events", "dividend", "prices"])
def test_epoch_seconds_are_refused_by_name_and_nothing_is_booked(file: str) -> None:
    replay = replayed(f"14-epoch-seconds-on-topics/{file}.jsonl")
    assert {field for _, field in replay.refused()} == {"timestamp"}
    assert "seconds" in replay.dead[0]["reason"]
    if file != "prices":
        assert (replay.engine.ledger.cash("A"), replay.engine.ledger.positions("A")) == (100_000.0, {})


@pytest.mark.parametrize("topic", GOOD)
@pytest.mark.parametrize(
    ("value", "unit"), [(T // 1000, "seconds"), (T * 1000, "microseconds"), (T * 1_000_000, "nanoseconds")]
)
def test_a_time_in_another_unit_is_refused_and_its_unit_named(topic: str, value: int, unit: str) -> None:
    error = _refused(topic, timestamp=value)
    assert (error.field, error.value) == ("timestamp", value)
    assert f"these are {unit}" in error.reason


@pytest.mark.parametrize(
    "value", [0, -1, 1, 20240610, 19723, TIME[0] - 1, TIME[1], 253_402_300_799_999, 2**63 - 1]
)
def test_a_time_no_market_has_is_refused(value: int) -> None:
    assert _refused(PRICES, timestamp=value).field == "timestamp"


# -- 03 and the marks of other systems: what a market cannot have

ABSURD = [
    *[
        (VOLATILITY, "volatility_annual", v)
        for v in (25, 120.0, -0.1, 999_999, 1e308, 1.7976931348623157e308)
    ],
    *[(BETAS, "beta", v) for v in (120, -120.0, 999_999, 1e308, -1.7976931348623157e308)],
    *[(PRICES, "price", v) for v in (0, -1, 999_999, 999_999.99, 1e8, 1e308, 1.7976931348623157e308, 1e-9)],
    *[(FILLS, "price", v) for v in (0, -1, 999_999, 1e308)],
    *[(FILLS, "qty", v) for v in (0, 1e10, -1e10, 1e308, 1.7976931348623157e308)],
    *[(FILLS, "fee", v) for v in (1e308, -1e308, 1e9)],
    *[(CASH, "amount", v) for v in (0, 1e308, -1e13)],
]


@pytest.mark.parametrize(("topic", "field", "value"), ABSURD)
def test_a_figure_no_market_has_is_refused_with_field_and_value(topic: str, field: str, value: float) -> None:
    error = _refused(topic, **{field: value})
    assert (error.field, error.value) == (field, value)


@pytest.mark.parametrize(
    ("topic", "field", "value"),
    [
        (VOLATILITY, "volatility_annual", 0),
        (VOLATILITY, "volatility_annual", 9.5),
        (BETAS, "beta", -7.5),
        (BETAS, "beta", 0),
        (PRICES, "price", 0.0001),
        (PRICES, "price", 812_345.5),
        (FILLS, "qty", 0.000001),
        (FILLS, "qty", 150_000_000),
        (CASH, "amount", -0.01),
        (FILLS, "fee", 0),
    ],
)
def test_a_figure_some_market_has_is_taken(topic: str, field: str, value: float) -> None:
    assert decode(topic, encode(GOOD[topic] | {field: value}))[field] == value


def test_percent_for_a_fraction_is_refused_on_topics_and_moves_no_call() -> None:
    replay = replayed("03-percent-for-fraction/events.jsonl")
    assert replay.refused() == [(VOLATILITY, "volatility_annual"), (BETAS, "beta")]
    assert replay.figures("A") == {
        "equity": 2000.0,
        "requirement": 3500.0,
        "excess": -1500.0,
        "status": "MARGIN_CALL",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sigma", 25),
        ("sigma", 1e308),
        ("long_rate", 3),
        ("long_rate", 25),
        ("short_rate", 30),
        ("htb_addon", 5),
        ("beta", 120),
        ("up", 15),
        ("down", 15),
        ("price", 999_999),
        ("price", 1e308),
        ("qty", 1e308),
        ("etf_leverage", 200),
    ],
)
def test_a_book_file_is_held_to_the_same_ranges(field: str, value: float) -> None:
    with pytest.raises(InputError) as refused:
        parse(_book(**{field: value}))
    assert (refused.value.field, refused.value.value) == (f"accounts[0].positions[0].{field}", value)


def test_the_percents_of_the_case_are_named_by_path() -> None:
    with pytest.raises(InputError, match=r"accounts\[0\]\.positions\[0\]\.sigma: above 10, value 25"):
        parse(loads((CASES / "03-percent-for-fraction" / "book.json").read_bytes()))


# -- 01: fields that no code reads


def test_a_short_given_with_a_side_is_refused_and_never_read_as_a_long() -> None:
    with pytest.raises(
        InputError, match=r"accounts\[0\]\.positions\[0\]\.side: .*qty is signed.*, value 'short'"
    ):
        parse(loads((CASES / "01-side-ignored" / "book.json").read_bytes()))


@pytest.mark.parametrize(
    ("field", "meant"),
    [
        ("side", "qty is signed"),
        ("direction", "qty is signed"),
        ("isShort", "not one of"),
        ("quantity", "did you mean qty"),
        ("shares", "did you mean qty"),
        ("ticker", "did you mean symbol"),
        ("last_price", "did you mean price"),
        ("volatility", "mean sigma"),
        ("Price", "did you mean price"),
        ("longrate", "mean long_rate"),
        ("leverage", "mean etf_leverage"),
        ("currency", "not one of"),
    ],
)
def test_an_unknown_field_of_a_position_is_refused_with_the_one_that_was_meant(
    field: str, meant: str
) -> None:
    with pytest.raises(InputError) as refused:
        parse(_book(**{field: "x"}))
    assert refused.value.field == f"accounts[0].positions[0].{field}"
    assert meant in refused.value.reason


@pytest.mark.parametrize(
    ("changed", "field", "meant"),
    [
        ({"acounts": []}, "acounts", "accounts"),
        ({"prices": {}}, "prices", "not one of"),
        ({"scenario": []}, "scenario", "scenarios"),
        ({"market": {"AAA": {"vol": 0.2}}}, "market.AAA.vol", "sigma"),
        ({"market": {"AAA": {"qty": 1}}}, "market.AAA.qty", "not one of"),
        ({"accounts": [{"account": "A", "cash": 0}]}, "accounts[0].account", "account_id"),
        ({"accounts": [{"account_id": "A", "balance": 0}]}, "accounts[0].balance", "cash"),
        ({"accounts": [{"account_id": "A", "cash": 0, "holdings": []}]}, "accounts[0].holdings", "positions"),
        ({"policy": {"longrate": 0.3}}, "policy.longrate", "long_rate"),
    ],
)
def test_an_unknown_field_anywhere_in_a_book_is_refused(
    changed: dict[str, Any], field: str, meant: str
) -> None:
    with pytest.raises(InputError) as refused:
        parse(_book() | changed)
    assert refused.value.field == field
    assert meant in refused.value.reason


RENAMED = [
    (FILLS, "qty", "quantity"),
    (FILLS, "qty", "shares"),
    (FILLS, "qty", "lastQty"),
    (FILLS, "qty", "Qty"),
    (FILLS, "symbol", "ticker"),
    (FILLS, "symbol", "Symbol"),
    (FILLS, "price", "px"),
    (FILLS, "price", "last_price"),
    (FILLS, "fill_id", "execId"),
    (FILLS, "fill_id", "id"),
    (FILLS, "account_id", "account"),
    (FILLS, "account_id", "accountId"),
    (FILLS, "timestamp", "ts"),
    (FILLS, "timestamp", "transactTime"),
    (CASH, "amount", "value"),
    (CASH, "transfer_id", "transactionId"),
    (PRICES, "price", "close"),
    (PRICES, "symbol", "ticker"),
    (BETAS, "beta", "BETA"),
    (VOLATILITY, "volatility_annual", "sigma"),
]


@pytest.mark.parametrize(("topic", "field", "foreign"), RENAMED)
def test_a_missing_field_of_a_topic_is_named_with_what_stands_in_its_place(
    topic: str, field: str, foreign: str
) -> None:
    event = {foreign if name == field else name: value for name, value in GOOD[topic].items()}
    with pytest.raises(BadEvent) as refused:
        decode(topic, encode(event))
    assert (refused.value.field, refused.value.value) == (field, GOOD[topic][field])
    assert refused.value.reason == f"missing; {foreign} stands there, did you mean {field}?"


@pytest.mark.parametrize("other", ["venue", "order_id", "note", "x", "exchange", "qtys_of_others"])
def test_a_missing_field_that_nothing_stands_for_is_only_missing(other: str) -> None:
    event = {name: value for name, value in FILL.items() if name != "qty"} | {other: "q"}
    with pytest.raises(BadEvent) as refused:
        decode(FILLS, encode(event))
    assert (refused.value.field, refused.value.value, refused.value.reason) == ("qty", None, "missing")


def test_a_field_that_is_not_in_the_contract_is_tolerated_on_a_topic_and_not_kept() -> None:
    assert decode(FILLS, encode(FILL | {"side": "BUY", "liquidity": "M", "currency": "USD"})) == FILL


@pytest.mark.parametrize(
    ("field", "value", "qty"),
    [
        ("side", "SELL", 100),
        ("side", "sell", 100),
        ("side", "S", 1),
        ("side", "SHORT", 100),
        ("side", "Sell Short", 100),
        ("side", "2", 100),
        ("side", 5, 100),
        ("direction", "SELL", 100),
        ("side", "BUY", -100),
        ("side", "b", -100),
        ("side", "BUY_TO_COVER", -5),
        ("side", "1", -100),
        ("Side", "SELL", 100),
        ("SIDE", "sell", 100),
        ("buy_sell", "S", 100),
        ("BuySell", "Sell", 100),
        ("Direction", "SHORT", 100),
        ("orderSide", "SELL", 100),
        ("trade_side", "BUY", -100),
    ],
)
def test_a_side_that_contradicts_the_sign_of_a_fill_is_refused(field: str, value: Any, qty: float) -> None:
    assert (error := _refused(FILLS, qty=qty, **{field: value})).field == field
    assert "qty is signed" in error.reason


@pytest.mark.parametrize("topic", [FILLS, CASH, PRICES])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "EUR"),
        ("currency", "GBp"),
        ("ccy", "CAD"),
        ("currency", "usdt"),
        ("Currency", "EUR"),
        ("CCY", "JPY"),
        ("currencyCode", "CHF"),
    ],
)
def test_an_amount_in_another_currency_is_refused(topic: str, field: str, value: str) -> None:
    assert _refused(topic, **{field: value}).field == field


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
        assert _refused(topic, **{field: name}).field == field
    with pytest.raises(InputError, match="account_id"):
        parse({"accounts": [{"account_id": name, "cash": 0}]})
    with pytest.raises(InputError, match="symbol"):
        parse(_book(symbol=name))


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
    assert "finer than 1e-06" in _refused(FILLS, qty=qty).reason
