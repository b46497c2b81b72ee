"""What docs/limits.md says the product does today with what lies outside its scope."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    BadEvent,
    decode,
    encode,
)
from margin_platform.documents.book_input import InputError, parse
from tests.support.recorded import Replay

ROOT = Path(__file__).parents[2]
T = 1_704_816_000_000
DAY = 86_400_000


def opened(cash: float) -> Replay:
    replay = Replay("AAA", "BBB")
    replay.take({"topic": ACCOUNTS, "event": {"account_id": "A", "margin_type": "REG_T", "timestamp": T}})
    replay.take(
        {"topic": CASH, "event": {"transfer_id": "c", "account_id": "A", "amount": cash, "timestamp": T}}
    )
    return replay


@pytest.mark.parametrize("kind", ["CASH", "cash", "NON_MARGIN", "IRA", "reg_t", "Cash Account", "", 1])
def test_a_cash_account_is_refused_by_name(kind: Any) -> None:
    with pytest.raises(InputError, match=r"accounts\[0\]\.margin_type"):
        parse({"accounts": [{"account_id": "A", "cash": 0, "margin_type": kind}]})
    with pytest.raises(BadEvent, match="margin_type"):
        decode(ACCOUNTS, encode({"account_id": "A", "margin_type": kind, "timestamp": T}))


def test_interest_is_not_accrued_and_is_booked_as_the_firm_sends_it() -> None:
    replay = opened(-1_000.0)
    replay.take({"topic": PRICES, "event": {"symbol": "BBB", "price": 1.0, "timestamp": T + 9 * DAY}})
    assert replay.engine.ledger.cash("A") == -1_000.0
    interest = {
        "transfer_id": "interest 2024-01",
        "account_id": "A",
        "amount": -6.67,
        "timestamp": T + 9 * DAY,
    }
    replay.take({"topic": CASH, "event": interest})
    assert replay.engine.ledger.cash("A") == -1_006.67


@pytest.mark.parametrize("field", ["currency", "ccy"])
def test_another_currency_is_refused_in_a_book_and_on_a_topic(field: str) -> None:
    with pytest.raises(InputError, match=field):
        parse({"accounts": [{"account_id": "A", "cash": 0, field: "EUR"}]})
    with pytest.raises(BadEvent, match=field):
        decode(
            CASH, encode({"transfer_id": "c", "account_id": "A", "amount": 1, "timestamp": T, field: "EUR"})
        )


@pytest.mark.parametrize("price", [-37.63, -0.01, -1e-9, 0, -0.0])
def test_a_negative_price_is_refused_and_the_last_good_one_stands(price: float) -> None:
    replay = opened(5_000.0)
    fill = {"fill_id": "f", "account_id": "A", "symbol": "AAA", "qty": 10, "price": 18.27, "timestamp": T}
    replay.take({"topic": FILLS, "event": fill})
    replay.take({"topic": PRICES, "event": {"symbol": "AAA", "price": 18.27, "timestamp": T}})
    replay.take({"topic": PRICES, "event": {"symbol": "AAA", "price": price, "timestamp": T + 1_000}})
    assert replay.refused() == [(PRICES, "price")]
    assert replay.figures("A")["equity"] == 5_000.0
    with pytest.raises(InputError, match="price"):
        parse(
            {
                "accounts": [
                    {"account_id": "A", "cash": 0, "positions": [{"symbol": "AAA", "qty": 1, "price": price}]}
                ]
            }
        )


@pytest.mark.parametrize(
    "kind", ["RIGHTS", "TENDER", "RETURN_OF_CAPITAL", "WARRANT", "BONUS", "dividend", "Split", "", None]
)
def test_an_action_of_another_kind_is_refused_by_name(kind: Any) -> None:
    action = {
        "action_id": "x",
        "symbol": "AAA",
        "kind": kind,
        "ex_date": "2024-01-09",
        "amount": 1.0,
        "timestamp": T,
    }
    with pytest.raises(BadEvent, match="kind"):
        decode(CORPORATE_ACTIONS, encode(action))


def test_every_test_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"
