"""Field cases 03 and 14: times and amounts in another unit, and figures that no market has."""

from __future__ import annotations

import pytest

from margin_platform.contracts.bounds import TIME
from margin_platform.contracts.messages import BETAS, CASH, FILLS, PRICES, VOLATILITY, decode, encode
from margin_platform.documents.book_input import InputError, loads, parse
from tests.support.field_events import GOOD, T, book_with, refused_with
from tests.support.recorded import CASES, replayed

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
    error = refused_with(topic, timestamp=value)
    assert (error.field, error.value) == ("timestamp", value)
    assert f"these are {unit}" in error.reason


@pytest.mark.parametrize(
    "value", [0, -1, 1, 20240610, 19723, TIME[0] - 1, TIME[1], 253_402_300_799_999, 2**63 - 1]
)
def test_a_time_no_market_has_is_refused(value: int) -> None:
    assert refused_with(PRICES, timestamp=value).field == "timestamp"


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
    error = refused_with(topic, **{field: value})
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
        parse(book_with(**{field: value}))
    assert (refused.value.field, refused.value.value) == (f"accounts[0].positions[0].{field}", value)


def test_the_percents_of_the_case_are_named_by_path() -> None:
    with pytest.raises(InputError, match=r"accounts\[0\]\.positions\[0\]\.sigma: above 10, value 25"):
        parse(loads((CASES / "03-percent-for-fraction" / "book.json").read_bytes()))
