"""Inputs tried by hand on the command line that went wrong once: each with its kind's other members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from margin_platform.cli import app
from margin_platform.documents.book_input import InputError, loads, parse
from tests.support.recorded import Replay

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
    with pytest.raises(InputError, match=f"a number of {digits} digits, value '9999"):
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


FAR_FROM_CSV = [
    ("date;AAA", "{day};100,5", "row 1, column all: fields separated by semicolons and a decimal comma"),
    ("date;AAA", "{day};1.234,56", "separated by semicolons and a decimal comma (1.234,56)"),
    ("date;AAA;BBB", "{day};100,5;99,5", "separated by semicolons and a decimal comma (100,5)"),
    ("date;AAA", "{day};100.5", "fields separated by semicolons: write commas between the fields"),
    ("date;symbol;price", "{day};AAA;12,5", "separated by semicolons and a decimal comma (12,5)"),
    ("date\tAAA", "{day}\t100.5", "fields separated by tabs: write commas between the fields"),
    ("date\tAAA", "{day}\t100,5", "fields separated by tabs and a decimal comma (100,5)"),
    ("date|AAA", "{day}|100.5", "fields separated by vertical bars: write commas between the fields"),
    ("date,AAA", "{day},100,5", "row 2, column prices.csv: 3 fields, and 2 in row 1. Where a number"),
    ("date,AAA", '{day},"100,5"', "row 2, column AAA: not a number: it has a comma; write commas between"),
    ("date,AAA", '{day},"1.234,56"', "row 2, column AAA: not a number: it has a comma; write commas between"),
    ("date,symbol,price", '{day},AAA,"1,000.50"', "row 2, column price: not a number: it has a comma; write"),
]


@pytest.mark.parametrize(("head", "row", "said"), FAR_FROM_CSV)
def test_a_decimal_comma_or_another_separator_is_named_with_what_to_write(
    tmp_path: Path, head: str, row: str, said: str
) -> None:
    ran = backtested(tmp_path, "\n".join([head, *(row.format(day=day) for day in DAYS)]))
    assert ran.exit_code == 2
    assert said in ran.output
    assert "a decimal point, as in 1234.56" in ran.output


HUNDREDS = "date,AAA\n" + "\n".join(f"{day},100" for day in DAYS)
_IN_TIME, _LATE = 1_704_474_000_000, 1_707_152_400_000  # 2024-01-05 and 2024-02-05, noon
FILL = {"topic": "fills.v1", "fill_id": "f", "account_id": "A", "symbol": "AAA", "qty": 1, "price": 100}
PAID = {"topic": "cash.v1", "transfer_id": "c", "account_id": "A", "amount": 5}
SPLIT = {"topic": "corporate_actions.v1", "action_id": "s", "symbol": "AAA", "kind": "SPLIT", "ratio": 2}


@pytest.mark.parametrize(
    ("events", "late"),
    [
        ([(FILL, _LATE)], 1),
        ([(PAID, _LATE)], 1),
        ([(SPLIT | {"ex_date": "2024-02-06"}, _LATE)], 1),
        ([(FILL, _LATE), (PAID, _LATE)], 2),
        ([(PAID, _IN_TIME), (FILL, _LATE)], 1),
        ([(PAID | {"transfer_id": str(n)}, _LATE + n) for n in range(8)], 8),
        ([(PAID, 1_704_747_600_001)], 1),  # a millisecond after the close of the last day
        ([(PAID, 1_704_747_600_000)], 0),
        ([(PAID, _IN_TIME), (FILL, _IN_TIME)], 0),
        ([], 0),
    ],
)
def test_events_after_the_last_price_are_named_with_their_number(
    tmp_path: Path, events: list[tuple[dict[str, Any], int]], late: int
) -> None:
    told = tuple(event | {"timestamp": at} for event, at in events)
    ran = backtested(tmp_path, HUNDREDS, events=told)
    assert ran.exit_code == 0, ran.output
    named = [flaw for flaw in json.loads(ran.stdout)["flaws"] if flaw["kind"] == "after_the_end"]
    assert [flaw["value"] for flaw in named] == ([late] if late else [])
    assert all("after the last price (2024-01-08): not part of the run" in flaw["reason"] for flaw in named)


_BEFORE, _NOON = 1_701_450_000_000, 1_704_214_800_000  # 2023-12-01, and noon of the first day of the file


@pytest.mark.parametrize(
    ("terms", "ex_date", "at", "equity"),
    [
        ({"ratio": 2}, "2023-12-04", _BEFORE, 7_000.0),
        ({"ratio": 0.1}, "2023-12-04", _BEFORE, 7_000.0),
        # the book of a day has what took effect at its midnight
        ({"ratio": 2}, "2024-01-02", _BEFORE, 7_000.0),
        ({"kind": "DIVIDEND", "ratio": None, "amount": 5.0}, "2023-12-04", _BEFORE, 7_000.0),
        ({"kind": "DIVIDEND", "ratio": None, "amount": 5.0}, "2024-01-02", _BEFORE, 7_000.0),
        ({"kind": "DELISTING", "ratio": None, "amount": 0.0}, "2023-12-04", _BEFORE, 7_000.0),
        ({"kind": "CASH_MERGER", "ratio": None, "amount": 90.0}, "2024-01-01", _BEFORE, 7_000.0),
        # news of the run itself: the book cannot have it
        ({"kind": "DIVIDEND", "ratio": None, "amount": 5.0}, "2023-12-04", _NOON, 7_500.0),
        ({"kind": "DIVIDEND", "ratio": None, "amount": 5.0}, "2024-01-03", _BEFORE, 7_500.0),
    ],
)
def test_an_action_of_before_the_book_is_named_and_not_booked_again(
    tmp_path: Path, terms: dict[str, Any], ex_date: str, at: int, equity: float
) -> None:
    event = {name: value for name, value in (SPLIT | terms).items() if value is not None}
    told = (event | {"ex_date": ex_date, "timestamp": at},)
    ran = backtested(tmp_path, HUNDREDS, events=told)
    assert ran.exit_code == 0, ran.output
    summary = json.loads(ran.stdout)
    named = [flaw for flaw in summary["flaws"] if flaw["kind"] == "before_the_start"]
    assert summary["policies"][0]["worst_accounts"][0]["final_equity"] == equity
    assert [flaw["value"] for flaw in named] == ([1] if equity == 7_000.0 else [])
    assert all("the book rests on them, not part of the run" in flaw["reason"] for flaw in named)


@pytest.mark.parametrize("amount", [0.001, -0.001, 0.0049, -0.0049, 0.004999, 1e-9, -1e-300, 5e-324])
def test_a_transfer_that_would_book_nothing_is_refused_by_name(tmp_path: Path, amount: float) -> None:
    ran = backtested(tmp_path, HUNDREDS, events=(PAID | {"amount": amount, "timestamp": _IN_TIME},))
    assert ran.exit_code == 2
    assert "events line 1, amount: less than half a cent: it would book nothing" in ran.output
    replay = Replay("AAA")
    terms = {"account_id": "A", "margin_type": "REG_T", "timestamp": _IN_TIME}
    replay.take({"topic": "accounts.v1", "event": terms})
    moved = {"transfer_id": "c", "account_id": "A", "amount": amount, "timestamp": _IN_TIME}
    replay.take({"topic": "cash.v1", "event": moved})
    assert replay.refused() == [("cash.v1", "amount")]


@pytest.mark.parametrize(
    ("amount", "booked"),
    [
        (0.005, 0.01),
        (-0.005, -0.01),
        (0.0099, 0.01),
        (0.01, 0.01),
        (-0.01, -0.01),
        (6.6667, 6.67),
        (-6.664, -6.66),
        (1e-2 + 1e-9, 0.01),
    ],
)
def test_a_transfer_of_half_a_cent_or_more_is_booked_to_the_cent(amount: float, booked: float) -> None:
    replay = Replay("AAA")
    terms = {"account_id": "A", "margin_type": "REG_T", "timestamp": _IN_TIME}
    replay.take({"topic": "accounts.v1", "event": terms})
    moved = {"transfer_id": "c", "account_id": "A", "amount": amount, "timestamp": _IN_TIME}
    replay.take({"topic": "cash.v1", "event": moved})
    assert (replay.engine.ledger.cash("A"), replay.dead) == (booked, [])


CONTRADICTIONS = [
    (FILL | {"side": "SELL"}, "side"),
    (FILL | {"Side": "2"}, "Side"),
    (FILL | {"qty": -1, "side": "BUY"}, "side"),
    (FILL | {"buy_sell": "S"}, "buy_sell"),
    (FILL | {"currency": "EUR"}, "currency"),
    (PAID | {"currency": "GBP"}, "currency"),
    (PAID | {"ccy": "CAD"}, "ccy"),
    (SPLIT | {"kind": "DIVIDEND", "amount": 1, "ex_date": "2024-01-05", "currency": "JPY"}, "currency"),
]


@pytest.mark.parametrize(("event", "field"), CONTRADICTIONS)
def test_a_contradiction_is_refused_in_a_file_of_events_as_on_a_topic(
    tmp_path: Path, event: dict[str, Any], field: str
) -> None:
    ran = backtested(tmp_path, HUNDREDS, events=(event | {"timestamp": _IN_TIME},))
    assert ran.exit_code == 2
    assert f"events line 1, {field}: " in ran.output
