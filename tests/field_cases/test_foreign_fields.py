"""Field case 01: fields under other names, beside others, and sides and currencies that contradict."""

from __future__ import annotations

from typing import Any

import pytest

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
from tests.support.field_events import FILL, GOOD, book_with, refused_with
from tests.support.recorded import CASES

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
        ("isShort", "qty is signed"),
        ("positionSide", "qty is signed"),
        ("trade_direction", "qty is signed"),
        ("long_short", "qty is signed"),
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
        parse(book_with(**{field: "x"}))
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
        parse(book_with() | changed)
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
        ("positionSide", "SHORT", 100),
        ("side_code", "5", 100),
        ("action", "SELL", 100),
        ("transactionType", "Sell Short", 100),
        ("type", "sell_to_close", 100),
        ("instruction", "BUY_TO_COVER", -100),
        ("is_short", True, 100),
        ("B/S", "SLD", 100),
    ],
)
def test_a_side_that_contradicts_the_sign_of_a_fill_is_refused(field: str, value: Any, qty: float) -> None:
    assert (error := refused_with(FILLS, qty=qty, **{field: value})).field == field
    assert "qty is signed" in error.reason


@pytest.mark.parametrize(
    ("field", "value", "qty"),
    [
        ("action", "BUY", 100),
        ("is_short", True, -100),
        ("is_short", False, 100),
        ("strategy", "LONG", -100),
        ("book", "short", 100),
        ("code", "S", 100),
        ("type", 2, 100),
        ("order_type", "SELL ALL", 100),
        ("note", "sell", -100),
    ],
)
def test_a_field_that_says_no_other_side_is_tolerated(field: str, value: Any, qty: float) -> None:
    fill = FILL | {"qty": qty}
    assert decode(FILLS, encode(fill | {field: value})) == fill


@pytest.mark.parametrize("multiplier", [1, 10, 100, 1000])
def test_a_multiplier_without_contracts_is_refused_and_never_passed_over(multiplier: float) -> None:
    with pytest.raises(InputError) as refused:
        parse(book_with(multiplier=multiplier))
    assert refused.value.field == "accounts[0].positions[0].multiplier"
    assert refused.value.reason == "without contracts: qty counts shares"


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
    assert refused_with(topic, **{field: value}).field == field
