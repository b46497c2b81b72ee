"""Buying power in a call, and which requirement an account is held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation

CASE = Path(__file__).parent / "20-buying-power-in-a-call" / "book.json"


def _account(cash: float, margin_type: str = "REG_T", **position: Any) -> dict[str, Any]:
    row = {"symbol": "X", **position}
    document = {
        "accounts": [{"account_id": "A", "cash": cash, "margin_type": margin_type, "positions": [row]}]
    }
    found: dict[str, Any] = evaluation(parse(document))["accounts"][0]
    return found


def test_an_account_of_the_field_case_may_buy_nothing() -> None:
    done = CliRunner().invoke(app, ["evaluate", str(CASE), "--json"])
    accounts = json.loads(done.stdout)["accounts"]
    assert {a["account_id"]: (a["status"], a["buying_power"]) for a in accounts} == dict.fromkeys(
        ("PENNY_SHORT", "TRIPLE_FUND", "LOW_PRICED", "HARD_TO_BORROW", "HOUSE_RATE"), ("MARGIN_CALL", 0.0)
    )


@pytest.mark.parametrize(
    ("position", "cash", "power"),
    [
        ({"qty": 100, "price": 100.0}, 0.0, 10_000.0),  # Reg T excess 5,000 binds: 65% of 10,000 is more
        ({"qty": 100, "price": 100.0}, -5_000.0, 0.0),
        # 85% with the add-on: 500 of excess
        ({"qty": 100, "price": 100.0, "long_rate": 0.75}, -1_000.0, 1_000.0),
        ({"qty": 100, "price": 100.0, "long_rate": 0.75}, -1_500.0, 0.0),  # excess of exactly 0
        ({"qty": 3_000, "price": 4.0}, 1_000.0, 2_000.0),  # under 5 dollars a long needs all of its value
        ({"qty": 100, "price": 100.0, "etf_leverage": 3}, -1_000.0, 1_000.0),  # 75% and concentration
        # 30, 10 and 50% of 10,000 against 10,000
        ({"qty": -100, "price": 100.0, "htb_addon": 0.5}, 20_000.0, 2_000.0),
        ({"qty": -2_000, "price": 0.5}, 7_000.0, 1_800.0),  # 2.50 a share, and concentration
        ({"qty": 100, "price": 100.0, "marginable": False}, 0.0, 0.0),
        # 60% by volatility: in a call
        ({"qty": 100, "price": 100.0, "sigma": 0.7, "long_rate": 0.4}, -4_500.0, 0.0),
    ],
    ids=str,
)
def test_the_lesser_excess_over_the_initial_rate(position: dict[str, Any], cash: float, power: float) -> None:
    assert _account(cash, **position)["buying_power"] == power


numbers = st.floats(-100_000, 100_000).map(lambda x: round(x, 2))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    cash=numbers,
    qty=st.integers(-2_000, 2_000).filter(bool),
    price=st.floats(0.01, 500).map(lambda x: round(x, 2)),
    margin_type=st.sampled_from(["REG_T", "PORTFOLIO"]),
    more=st.fixed_dictionaries(
        {}, optional={"long_rate": st.floats(0, 1), "htb_addon": st.floats(0, 1), "sigma": st.floats(0, 1)}
    ),
)
def test_no_account_in_a_call_may_buy_and_none_more_than_either_excess_allows(
    cash: float, qty: int, price: float, margin_type: str, more: dict[str, float]
) -> None:
    account = _account(cash, margin_type, qty=qty, price=price, **more)
    assert account["status"] != "MARGIN_CALL" or account["buying_power"] == 0.0
    lesser = max(0.0, min(account["reg_t_excess"], account["excess"]))
    assert account["buying_power"] == pytest.approx(lesser / 0.5, abs=0.02)


@pytest.mark.parametrize(
    ("margin_type", "cash", "applied", "lower"),
    [
        ("REG_T", 0.0, "REG_T", "PORTFOLIO"),
        ("REG_T", 1_000_000.0, "REG_T", "PORTFOLIO"),
        ("PORTFOLIO", 99_999.99 - 10_000, "REG_T", "PORTFOLIO"),  # a cent short of the minimum equity
        ("PORTFOLIO", 90_000.0, "PORTFOLIO", "PORTFOLIO"),
        ("PORTFOLIO", -20_000.0, "REG_T", "PORTFOLIO"),
    ],
)
def test_the_requirement_applied_has_a_name_of_its_own(
    margin_type: str, cash: float, applied: str, lower: str
) -> None:
    account = _account(cash, margin_type, qty=100, price=100.0)
    assert (account["applied_method"], account["margin_method"]) == (applied, lower)
    by_method = {"REG_T": account["maintenance_req"], "PORTFOLIO": account["portfolio_margin_req"]}
    assert account["applied_requirement"] == account["requirement"] == by_method[applied]
    assert account["excess"] == round(account["equity"] - account["applied_requirement"], 2)


def test_held_to_the_higher_requirement_the_two_names_differ() -> None:
    """A penny short of a portfolio account: TIMS asks 15%, the rules 2.50 a share;
    and a contract's minimum turns it round.
    """
    short = _account(200_000.0, "PORTFOLIO", qty=-2_000, price=0.5)
    assert (short["applied_method"], short["applied_requirement"], short["maintenance_req"]) == (
        "PORTFOLIO",
        150.0,
        5_100.0,
    )
    charged = _account(200_000.0, "PORTFOLIO", qty=-1, price=10.0, contracts=100)
    assert (charged["margin_method"], charged["applied_method"]) == ("REG_T", "PORTFOLIO")


def test_an_account_without_a_price_has_neither() -> None:
    account = _account(0.0, "PORTFOLIO", qty=100)
    assert (account["applied_method"], account["applied_requirement"], account["buying_power"]) == (
        None,
        None,
        None,
    )
