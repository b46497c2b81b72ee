"""The liquidation and impact cases of the rulebook (D*, E*), and the properties every proposal must have. Rules: LIQ."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.book_json import parse
from margin_platform.evaluate import evaluate
from margin_platform.impact import impact_cost, minimum_impact
from margin_platform.liquidation import Proposal, Terms, propose
from margin_platform.liquidation_by_impact import propose_by_impact
from margin_platform.money import cents

CASES = {c["id"]: c for c in json.loads((Path(__file__).parent / "cases.json").read_text())["cases"]}
LIQUIDATE = [i for i, c in CASES.items() if c["calc"] == "liquidate"]


def _document(inputs: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return {"policy": params, "accounts": [{"account_id": "a", "cash": inputs["cash"], "positions": inputs["positions"]}]}


def _proposal(inputs: dict[str, Any], params: dict[str, Any], strategy: Any = propose) -> Proposal:
    given_book = parse(_document(inputs, params))
    terms = Terms(inputs.get("target_excess", 0.0), inputs.get("lot", 1), inputs.get("slippage", 0.0), inputs.get("order"))
    return strategy(given_book.book, given_book.market, given_book.policy, 0, terms)


@pytest.mark.parametrize("case_id", LIQUIDATE)
def test_the_worked_case_holds(case_id: str) -> None:
    case = CASES[case_id]
    found, expected = _proposal(case["inputs"], case["params"]), case["expected"]
    assert [{"symbol": o.symbol, "side": o.side, "qty": o.qty} for o in found.orders] == expected["orders"], case["arithmetic"]
    assert found.excess_after == pytest.approx(expected["post_excess"], abs=0.005)
    assert found.cured is expected.get("cured", True)


def test_the_minimum_impact_split_is_the_published_one() -> None:
    """E25: 15,478 dollars against 61,088 for the higher-volatility name alone."""
    case = CASES["E25"]
    names = case["inputs"]["names"]
    adv, sigma, rate = (np.array([n[k] for n in names.values()]) for k in ("adv", "sigma", "rate"))
    found = minimum_impact(1e6, rate, sigma, adv, np.full(2, 1e12), 1.0)
    assert found == pytest.approx([case["expected"]["x.A"], case["expected"]["x.B"]], abs=0.01)
    assert float(impact_cost(found, sigma, adv, 1.0).sum()) == pytest.approx(case["expected"]["cost"], abs=0.01)
    alone = impact_cost(1e6 / rate, sigma, adv, 1.0)
    assert alone == pytest.approx([case["expected"]["cost_single.A"], case["expected"]["cost_single.B"]], abs=0.01)


PLAIN = {"use_low_price_long": False}
ROWS = st.tuples(
    st.sampled_from("ABCD"), st.integers(-12, 12).filter(bool), st.sampled_from([4.0, 10.0, 100.0]), st.sampled_from([0.5, 1.0, 2.0])
)
POSITIONS = st.lists(ROWS, min_size=1, max_size=3, unique_by=lambda row: row[0])


def _brute_force_single(document: dict[str, Any], buffer: float, first: int) -> int | None:
    """The smallest whole quantity of one position that suffices, every quantity tried one evaluation at a time."""
    account = document["accounts"][0]
    position = account["positions"][first]
    for shares in range(1, abs(position["qty"]) + 1):
        sign = 1 if position["qty"] > 0 else -1
        rows = [p | {"qty": p["qty"] - sign * shares} if n == first else p for n, p in enumerate(account["positions"])]
        after = parse(document | {"accounts": [account | {"cash": account["cash"] + sign * shares * position["price"], "positions": rows}]})
        if cents(float(evaluate(after.book, after.market, after.policy).excess[0])) >= buffer:
            return shares
    return None


@settings(max_examples=60, deadline=None)
@given(POSITIONS, st.integers(0, 60), st.sampled_from([0.0, 5.0]))
def test_the_first_name_sells_exactly_the_least_that_suffices(rows: list[Any], short_by: int, buffer: float) -> None:
    """Non-monotone books included: three names around 30% of gross gain and lose the add-on as one of them is sold."""
    positions = [{"symbol": s, "qty": q, "price": p, "beta": b} for s, q, p, b in rows]
    document = {"policy": PLAIN, "accounts": [{"account_id": "a", "cash": 0.0, "positions": positions}]}
    start = parse(document)
    excess = float(evaluate(start.book, start.market, start.policy).excess[0])
    document["accounts"][0]["cash"] = round(-excess - short_by, 2)   # deficient by `short_by`
    inputs = document["accounts"][0] | {"target_excess": buffer}
    found = _proposal(inputs, PLAIN)
    if short_by == 0 and buffer == 0:
        assert found.orders == ()
        return
    first = next(n for n, p in enumerate(positions) if p["symbol"] == found.orders[0].symbol)
    least = _brute_force_single(document, buffer, first)
    assert found.orders[0].qty == (abs(positions[first]["qty"]) if least is None else least)
    for order, position in itertools.product(found.orders, positions):
        assert order.symbol != position["symbol"] or order.qty <= abs(position["qty"])   # never through zero


@settings(max_examples=20, deadline=None)
@given(POSITIONS, st.integers(1, 60))
def test_minimum_impact_cures_whatever_can_be_cured(rows: list[Any], short_by: int) -> None:
    positions = [{"symbol": s, "qty": q, "price": p, "beta": b, "sigma": 0.1 * b + 0.1} for s, q, p, b in rows]
    start = parse({"policy": PLAIN, "accounts": [{"account_id": "a", "cash": 0.0, "positions": positions}]})
    excess = float(evaluate(start.book, start.market, start.policy).excess[0])
    inputs = {"cash": round(-excess - short_by, 2), "positions": positions}
    by_impact, by_beta = _proposal(inputs, PLAIN, propose_by_impact), _proposal(inputs, PLAIN)
    assert by_impact.cured == by_beta.cured
    assert all(o.qty <= abs(next(p["qty"] for p in positions if p["symbol"] == o.symbol)) for o in by_impact.orders)


def test_a_missing_price_sells_nothing() -> None:
    found = _proposal({"cash": -1e6, "positions": [{"symbol": "X", "qty": 10}]}, {})
    assert found.orders == ()
    assert "no price for X" in found.statement
