"""`margin whatif`: before, after and difference by the kernel,
on a book or on what the store last recorded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from typer.testing import CliRunner, Result

from margin_platform.cli import app
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from margin_platform.documents.trade import Trade, read_several
from margin_platform.documents.whatif import after_trades
from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states

X: dict[str, Any] = {"symbol": "X", "qty": 100, "price": 50.0, "beta": 1.5}
BOOK: dict[str, Any] = {
    "accounts": [{"account_id": "A", "cash": -3000.0, "positions": [X]}],
    "market": {"Y": {"price": 20.0}},
}


def _run(*arguments: str, book: dict[str, Any] | None = None) -> Result:
    return CliRunner().invoke(app, ["whatif", *arguments], input=json.dumps(book) if book else None)


def test_a_trade_moves_every_figure_as_the_kernel_says_and_no_equity() -> None:
    answer = json.loads(
        _run("A", "--trade", "X:-40", "--trade", "Y:50", "--book", "-", "--json", book=BOOK).stdout
    )
    traded = {
        "accounts": [
            {
                "account_id": "A",
                "cash": -2000.0,
                "positions": [X | {"qty": 60}, {"symbol": "Y", "qty": 50, "price": 20.0}],
            }
        ]
    }
    assert answer["after"] == evaluation(parse(traded))["accounts"][0]
    assert answer["before"] == evaluation(parse(BOOK))["accounts"][0]
    assert answer["delta"]["equity"] == 0
    assert answer["delta"]["excess"] == round(answer["after"]["excess"] - answer["before"]["excess"], 2)
    assert answer["delta"]["by_symbol"]["Y"] == answer["after"]["by_symbol"]["Y"]
    assert [row["scenario"] for row in answer["delta"]["stress"]] == [
        row["scenario"] for row in answer["before"]["stress"]
    ]


def test_a_trade_closes_the_other_side_of_a_box_first() -> None:
    account = {"account_id": "A", "cash": 0.0, "positions": [X, X | {"qty": -30}]}
    after = after_trades(account, [Trade("X", 30.0)], 0.0, lambda _: None)
    assert after["positions"] == [X]
    assert after["cash"] == -1500.0


def test_what_was_last_recorded_is_used_and_prices_of_other_accounts_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    fixed = {"state": {}, "status": "CALL", "restricted": False, "audit_count": 0, "audit_hash": ""}
    with Store(url) as store, store.write() as connection:
        for account_id, position in (("A", X), ("B", {"symbol": "Z", "qty": 5.0, "price": 10.0})):
            event = {
                "account_id": account_id,
                "cash": -3000.0,
                "margin_type": "REG_T",
                "positions": [position],
            }
            connection.execute(insert(ladder_states).values(account_id=account_id, last_event=event, **fixed))
    answer = json.loads(_run("A", "--trade", "Z:10", "--store", url, "--json").stdout)
    assert answer["after"]["long_mv"] == 5100.0
    assert answer["after"]["equity"] == answer["before"]["equity"] == 2000.0
    unknown = _run("NOBODY", "--trade", "Z:10", "--store", url)
    assert unknown.exit_code == 1
    assert "'NOBODY'" in unknown.stderr


@pytest.mark.parametrize(
    "trade",
    [
        "X",
        ":5",
        "X:",
        "X:ten",
        "X:nan",
        "X:0",
        "X:1e13",
        "UNHEARD:5",
        "SELL X",
        "SELL -5 X",
        "X 5 6",
        "HOLD 5 X",
    ],
)
def test_a_trade_that_cannot_be_used_is_named(trade: str) -> None:
    result = _run("A", "--trade", trade, "--book", "-", book=BOOK)
    assert result.exit_code == 2
    assert "--trade" in result.stderr
    assert trade.partition(":")[0] in result.stderr


@pytest.mark.parametrize(
    ("text", "qty"),
    [
        ("X:-40", -40.0),
        ("x:-40", -40.0),
        ("SELL 40 X", -40.0),
        ("sell 40 x", -40.0),
        ("Sell X 40", -40.0),
        ("X -40", -40.0),
        ("BUY 1,000 X", 1000.0),
        (" x : 2.5 ", 2.5),
    ],
)
def test_a_trade_is_read_as_a_person_writes_it(text: str, qty: float) -> None:
    answer = json.loads(_run("A", "--trade", text, "--book", "-", "--json", book=BOOK).stdout)
    assert answer["trades"] == [{"symbol": "X", "qty": qty}]


@pytest.mark.parametrize(
    "text",
    ["X:-40 Y:50", "X:-40, Y:50", "SELL 40 X; BUY 50 Y", "sell 40 X, Y 50", " X -40 ,Y:50", "x:-40\ny:50"],
)
def test_several_trades_are_read_from_one_line(text: str) -> None:
    assert [trade._replace(symbol=trade.symbol.upper()) for trade in read_several(text)] == [
        Trade("X", -40.0),
        Trade("Y", 50.0),
    ]


def test_a_comma_between_digits_belongs_to_the_number() -> None:
    assert read_several("BUY 1,000 X, SELL 2,500 Y") == [Trade("X", 1000.0), Trade("Y", -2500.0)]
    assert read_several("") == []


def test_an_account_that_is_not_in_the_book_is_named() -> None:
    result = _run("B", "--trade", "X:5", "--book", "-", book=BOOK)
    assert result.exit_code == 2
    assert "ACCOUNT" in result.stderr
