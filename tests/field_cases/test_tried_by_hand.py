"""Inputs tried by hand on the command line that went wrong once: each with its kind's other members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from margin_platform.cli import app
from margin_platform.documents.book_input import InputError, loads, parse

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08")


def backtested(
    folder: Path,
    prices: str,
    qty: float = 100.0,
    cash: float = -3_000.0,
    events: tuple[dict[str, Any], ...] = (),
) -> Result:
    (folder / "prices.csv").write_text(prices, encoding="utf-8")
    held = {"account_id": "A", "cash": cash, "positions": [{"symbol": "AAA", "qty": qty}]}
    (folder / "book.json").write_text(json.dumps({"accounts": [held]}))
    (folder / "events.jsonl").write_text("\n".join(json.dumps(event) for event in events))
    places = [
        "--prices",
        folder / "prices.csv",
        "--book",
        folder / "book.json",
        "--events",
        folder / "events.jsonl",
    ]
    return CliRunner().invoke(app, ["backtest", *map(str, places), "--out", str(folder / "out"), "--json"])


@pytest.mark.parametrize("qty", [4e-7, -4e-7, 1e-9, 6e-7, 1.5e-6, 2.5e-6, -1.4e-6, 1e-300])
def test_a_book_with_a_position_finer_than_the_finest_share_is_refused(qty: float) -> None:
    with pytest.raises(InputError, match=r"accounts\[0\]\.positions\[0\]\.qty: finer than 1e-06 of a share"):
        parse(
            {
                "accounts": [
                    {"account_id": "A", "cash": 0, "positions": [{"symbol": "AAA", "qty": qty, "price": 100}]}
                ]
            }
        )


@pytest.mark.parametrize("qty", [0, -0.0, 1e-6, -1e-6, 0.333333, 1 / 3, 100, 1e9])
def test_a_book_with_a_quantity_the_platform_keeps_is_read(qty: float) -> None:
    parse(
        {
            "accounts": [
                {"account_id": "A", "cash": 0, "positions": [{"symbol": "AAA", "qty": qty, "price": 100}]}
            ]
        }
    )


@pytest.mark.parametrize("digits", [4_301, 5_000, 100_000])
def test_a_number_of_thousands_of_digits_is_an_error_and_no_traceback(digits: int) -> None:
    with pytest.raises(InputError, match="a number of thousands of digits"):
        loads('{"accounts":[{"account_id":"A","cash":' + "9" * digits + "}]}")


UNREAL = [
    ("1e308", "above 1e+07"),
    ("1.7976931348623157e308", "above 1e+07"),
    ("20000000", "above 1e+07"),
    ("999999", "a mark for no price"),
    ("999999.99", "a mark for no price"),
    ("9999999", "a mark for no price"),
    ("1e-9", "below 1e-06"),
    ("0", "zero"),
    ("-1", "negative"),
    ("inf", "not a finite number"),
]


@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize(("value", "reason"), UNREAL)
def test_a_price_file_is_held_to_the_range_of_the_topics(
    tmp_path: Path, value: str, reason: str, form: str
) -> None:
    name = "AAA," if form == "long" else ""
    head = "date,symbol,price" if form == "long" else "date,AAA"
    prices = [value if day == DAYS[0] else "100" for day in DAYS]
    rows = "\n".join(f"{day},{name}{price}" for day, price in zip(DAYS, prices, strict=True))
    ran = backtested(tmp_path, f"{head}\n{rows}")
    assert ran.exit_code == 2
    assert f"row 2, column {'price' if form == 'long' else 'AAA'}: {reason}" in ran.output


@pytest.mark.parametrize("form", ["wide", "long"])
@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u200d", "\u202e", "\ufeff", "\u00ad", "\u3164", "\u2800", "\u034f"], ids=ascii
)
def test_a_symbol_of_a_price_file_with_what_no_screen_shows_is_refused(
    tmp_path: Path, hidden: str, form: str
) -> None:
    name = f"AA{hidden}A"
    head = "date,symbol,price" if form == "long" else f"date,{name}"
    cell = f"{name}," if form == "long" else ""
    rows = "\n".join(f"{day},{cell}100" for day in DAYS)
    ran = backtested(tmp_path, f"{head}\n{rows}")
    assert ran.exit_code == 2
    assert f"holds the invisible character U+{ord(hidden):04X}" in ran.output


@pytest.mark.parametrize(("new", "old"), [(2, 1), (3, 1), (10, 1), (3, 2), (1, 2), (1, 3), (1, 10), (1, 25)])
def test_a_split_announced_a_day_late_holds_its_holders_until_then_as_live(
    tmp_path: Path, new: int, old: int
) -> None:
    """100 shares at 100, debit 3,000.

    On the ex-date the price is the split's, and no action says so: HELD, not called.
    """
    after = 100.0 * old / new
    prices = [100.0, 100.0, after, after, after]
    rows = "\n".join(f"{day},{price}" for day, price in zip(DAYS, prices, strict=True))
    late = {
        "topic": "corporate_actions.v1",
        "action_id": "s",
        "symbol": "AAA",
        "kind": "SPLIT",
        "ratio_new": new,
        "ratio_old": old,
        "ex_date": DAYS[2],
        "timestamp": 1_704_474_000_000,
    }  # Friday noon
    ran = backtested(tmp_path, f"date,AAA\n{rows}", events=(late,))
    assert ran.exit_code == 0, ran.output
    (file,) = (tmp_path / "out").glob("decisions-*.csv")
    decided = [line.split(",")[4] for line in file.read_text().splitlines()[1:]]
    assert decided == ["HELD", "RELEASED"]
