"""What-if in a symbol whose figures stand in several places of the document:
its market row and other accounts' positions.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app

CASE = Path(__file__).parent / "26-whatif-price-hidden-by-market-row" / "book.json"
OWN: dict[str, Any] = {"symbol": "NVDA", "qty": 5, "price": 900}


def _after(book: dict[str, Any]) -> dict[str, Any]:
    """Account A after it buys one NVDA."""
    done = CliRunner().invoke(
        app, ["whatif", "A", "--trade", "NVDA:1", "--book", "-", "--json"], input=json.dumps(book)
    )
    assert done.exit_code == 0, done.stderr
    after: dict[str, Any] = json.loads(done.stdout)["after"]
    return after


def test_the_price_of_another_account_completes_a_market_row_without_one() -> None:
    after = _after(json.loads(CASE.read_text()))
    assert (after["long_mv"], after["equity"]) == (4_900.0, 9_000.0)


@pytest.mark.parametrize(
    "market",
    [
        {"beta": 1.8},
        {"sigma": 0.7},
        {"long_rate": 0.5},
        {"price": None, "beta": 1.8},
        {"issuer": "NVIDIA"},
        {"class_group": "NVDA"},
        {"etf_leverage": 2},
        {"up": 0.2, "down": 0.2},
        {"marginable": True},
        {"volatility_tier": 1},
        {"htb_addon": 0.1},
        {},
    ],
    ids=str,
)
def test_a_position_bought_has_the_figures_of_the_market_row_and_the_price_of_the_holder(
    market: dict[str, Any],
) -> None:
    """The same margin as where the market row gives the price itself."""
    holder = {"account_id": "B", "cash": 0, "positions": [OWN]}
    buyer = {"account_id": "A", "cash": 5_000, "positions": [{"symbol": "MSFT", "qty": 10, "price": 400}]}
    split = _after({"market": {"NVDA": market}, "accounts": [buyer, holder]})
    whole = _after({"market": {"NVDA": market | {"price": 900}}, "accounts": [buyer]})
    assert split == whole


def test_where_both_give_a_figure_the_market_row_counts_for_other_accounts() -> None:
    buyer = {"account_id": "A", "cash": 5_000, "positions": []}
    holder = {"account_id": "B", "cash": 0, "positions": [OWN | {"beta": 2.0}]}
    assert _after({"market": {"NVDA": {"price": 910}}, "accounts": [buyer, holder]})["long_mv"] == 910.0


def test_figures_of_several_holders_complete_one_another() -> None:
    buyer = {"account_id": "A", "cash": 5_000, "positions": []}
    holders = [
        {"account_id": n, "cash": 0, "positions": [{"symbol": "NVDA", "qty": 1, **row}]}
        for n, row in (("B", {"price": 900}), ("C", {"beta": 1.8}))
    ]
    assert _after({"accounts": [buyer, *holders]})["long_mv"] == 900.0


@pytest.mark.parametrize("qty", ["4e-7", "-4e-7", "1e-9", "6e-7", "1.5e-6", "2.5e-6", "-1.4e-6", "1e-300"])
def test_a_trade_finer_than_the_ledger_keeps_is_refused_as_a_fill_is(qty: str) -> None:
    ran = CliRunner().invoke(app, ["whatif", "A", "--trade", f"NVDA:{qty}", "--book", str(CASE)])
    assert ran.exit_code == 2
    assert "--trade: finer than 1e-06 of a share, value " in ran.output
