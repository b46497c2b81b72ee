"""The liquidation cases of the rulebook (D*, E*), and the properties every proposal must have. Rules: LIQ."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.documents.book_input import parse
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.cures import cheapest_cures
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.min_impact import propose_by_impact
from margin_platform.liquidation.workbench import Proposal, Terms, Workbench
from margin_platform.money import cents
from margin_platform.policy.policy import current_policy

CASES = {
    c["id"]: c for c in json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text())["cases"]
}
LIQUIDATE = [i for i, c in CASES.items() if c["calc"] == "liquidate"]


def _document(inputs: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return {
        "policy": params,
        "accounts": [{"account_id": "a", "cash": inputs["cash"], "positions": inputs["positions"]}],
    }


def _proposal(inputs: dict[str, Any], params: dict[str, Any], strategy: Any = propose) -> Proposal:
    given_book = parse(_document(inputs, params))
    terms = Terms(
        inputs.get("target_excess", 0.0),
        inputs.get("lot", 1),
        inputs.get("slippage", 0.0),
        inputs.get("order"),
    )
    return strategy(given_book.book, given_book.market, given_book.policy, 0, terms)


@pytest.mark.parametrize("case_id", LIQUIDATE)
def test_the_worked_case_holds(case_id: str) -> None:
    case = CASES[case_id]
    found, expected = _proposal(case["inputs"], case["params"]), case["expected"]
    assert [{"symbol": o.symbol, "side": o.side, "qty": o.qty} for o in found.orders] == expected["orders"], (
        case["arithmetic"]
    )
    assert found.excess_after == pytest.approx(expected["post_excess"], abs=0.005)
    assert found.cured is expected.get("cured", True)


PLAIN = {"use_low_price_long": False}
ROWS = st.tuples(
    st.sampled_from("ABCD"),
    st.integers(-12, 12).filter(bool),
    st.sampled_from([4.0, 10.0, 100.0]),
    st.sampled_from([0.5, 1.0, 2.0]),
)
POSITIONS = st.lists(ROWS, min_size=1, max_size=3, unique_by=lambda row: row[0])


def _brute_force_single(document: dict[str, Any], buffer: float, first: int) -> int | None:
    """The smallest whole quantity of one position that suffices,
    every quantity tried one evaluation at a time.
    """
    account = document["accounts"][0]
    position = account["positions"][first]
    for shares in range(1, abs(position["qty"]) + 1):
        sign = 1 if position["qty"] > 0 else -1
        rows = [
            p | {"qty": p["qty"] - sign * shares} if n == first else p
            for n, p in enumerate(account["positions"])
        ]
        after = parse(
            document
            | {
                "accounts": [
                    account | {"cash": account["cash"] + sign * shares * position["price"], "positions": rows}
                ]
            }
        )
        if cents(float(evaluate(after.book, after.market, after.policy).excess[0])) >= buffer:
            return shares
    return None


@settings(max_examples=60, deadline=None)
@given(POSITIONS, st.integers(0, 60), st.sampled_from([0.0, 5.0]))
def test_the_first_name_sells_exactly_the_least_that_suffices(
    rows: list[Any], short_by: int, buffer: float
) -> None:
    """LIQ-001, LIQ-003.

    Non-monotone books included: three names around 30% of gross gain and lose the add-on as one of them is
    sold.
    """
    positions = [{"symbol": s, "qty": q, "price": p, "beta": b} for s, q, p, b in rows]
    document = {"policy": PLAIN, "accounts": [{"account_id": "a", "cash": 0.0, "positions": positions}]}
    start = parse(document)
    excess = float(evaluate(start.book, start.market, start.policy).excess[0])
    document["accounts"][0]["cash"] = round(-excess - short_by, 2)  # deficient by `short_by`
    inputs = document["accounts"][0] | {"target_excess": buffer}
    found = _proposal(inputs, PLAIN)
    if short_by == 0 and buffer == 0:
        assert found.orders == ()
        return
    first = next(n for n, p in enumerate(positions) if p["symbol"] == found.orders[0].symbol)
    least = _brute_force_single(document, buffer, first)
    assert found.orders[0].qty == (abs(positions[first]["qty"]) if least is None else least)
    for order, position in itertools.product(found.orders, positions):
        assert order.symbol != position["symbol"] or order.qty <= abs(position["qty"])  # never through zero


@settings(max_examples=20, deadline=None)
@given(POSITIONS, st.integers(1, 60))
def test_minimum_impact_cures_whatever_can_be_cured(rows: list[Any], short_by: int) -> None:
    positions = [
        {"symbol": s, "qty": q, "price": p, "beta": b, "sigma": 0.1 * b + 0.1} for s, q, p, b in rows
    ]
    start = parse({"policy": PLAIN, "accounts": [{"account_id": "a", "cash": 0.0, "positions": positions}]})
    excess = float(evaluate(start.book, start.market, start.policy).excess[0])
    inputs = {"cash": round(-excess - short_by, 2), "positions": positions}
    by_impact, by_beta = _proposal(inputs, PLAIN, propose_by_impact), _proposal(inputs, PLAIN)
    assert by_impact.cured == by_beta.cured
    assert all(
        o.qty <= abs(next(p["qty"] for p in positions if p["symbol"] == o.symbol)) for o in by_impact.orders
    )


def test_a_symbol_held_at_other_figures_elsewhere_may_be_closed_whole() -> None:
    """LIQ-004.

    Two accounts hold A and B, each at figures of its own; neither can be cured, so closed positions are
    evaluated.
    """
    other = [p | {"beta": 0.5} for p in TWO]
    accounts = [
        {"account_id": name, "cash": -12_000, "positions": rows} for name, rows in (("a", TWO), ("b", other))
    ]
    result = CliRunner().invoke(app, ["liquidate", "-", "--json"], input=json.dumps({"accounts": accounts}))
    assert result.exit_code == 0
    for row in json.loads(result.stdout)["accounts"]:
        assert {o["symbol"]: o["qty"] for o in row["orders"]} == {"A": 100, "B": 100}
        assert (row["cured"], row["excess_after"]) == (False, -1000.0)
        assert "refer unsecured debit of 1,000.00 to Credit" in row["certificate"]["statement"]


def test_liq_003_a_name_that_costs_more_to_trade_than_it_cures_is_left() -> None:
    """At 30% slippage selling A (25%) would only add to the deficiency;
    the non-marginable N cures 70 cents a dollar.
    """
    positions = [
        {"symbol": "A", "qty": 100, "price": 100, "beta": 2},
        {"symbol": "N", "qty": 100, "price": 100, "marginable": False},
    ]
    inputs = {"cash": -7600, "positions": positions, "slippage": 0.3}
    found = _proposal(inputs, {"use_conc": False})
    assert [(o.symbol, o.qty, o.estimated_proceeds) for o in found.orders] == [("N", 2, 140.0)]
    assert (found.excess_before, found.excess_after) == (-100.0, 40.0)


@pytest.mark.parametrize(
    ("account_id", "least"),
    [
        ("OWN_CLIFF", 72),  # E10: its own add-on falls away, not the 129 of deficiency / rate
        # E11: 58, which is deficiency / rate, would leave the account shorter than before
        ("OTHERS_CLIFF", 160),
    ],
)
def test_a_cure_told_to_the_customer_cures_although_the_formula_does_not(account_id: str, least: int) -> None:
    books = json.loads((Path(__file__).parents[2] / "examples" / "liquidation.json").read_text())["accounts"]
    (account,) = [a for a in books if a["account_id"] == account_id]
    found = cheapest_cures(parse({"accounts": [account]}))
    assert [c.amount for c in found] == sorted(c.amount for c in found)
    assert [c.qty for c in found if c.symbol == "A"] == [least]
    for cure in found:
        if cure.symbol:
            n = next(n for n, p in enumerate(account["positions"]) if p["symbol"] == cure.symbol)
            after = _sold(account, n, int(cure.qty or 0), 0.0)
            assert _excess(after["cash"], "REG_T", after["positions"], {}) == cure.excess_after >= 0


def test_a_missing_price_sells_nothing() -> None:
    found = _proposal({"cash": -1e6, "positions": [{"symbol": "X", "qty": 10}]}, {})
    assert found.orders == ()
    assert "no price for X" in found.statement


BOOKS = st.lists(
    st.tuples(
        st.sampled_from("ABCD"),
        st.integers(-9, 9).filter(bool),
        st.sampled_from([3.0, 10.0, 100.0]),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.sampled_from([0.1, 0.5, 0.7]),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda row: row[0],
)
OFFSET = {"product_offsets": {"g": 0.9}, "pm_minimum_equity": 0.0}


def _excess(cash: float, kind: str, positions: list[dict[str, Any]], policy: dict[str, Any]) -> float:
    row = {
        "account_id": "a",
        "cash": cash,
        "margin_type": kind,
        "positions": [p for p in positions if p["qty"]],
    }
    after = parse({"policy": policy, "accounts": [row]})
    return cents(float(evaluate(after.book, after.market, after.policy).excess[0]))


def _account(rows: list[Any], kind: str, policy: dict[str, Any], short_by: int) -> dict[str, Any]:
    """An account of these positions, its cash set so that it is deficient by `short_by` dollars."""
    positions = [
        {"symbol": s, "qty": q, "price": p, "beta": b, "sigma": v, "product_group": "g"}
        for s, q, p, b, v in rows
    ]
    cash = round(-_excess(0.0, kind, positions, policy) - short_by, 2)
    return {"account_id": "a", "margin_type": kind, "positions": positions, "cash": cash}


def _sold(account: dict[str, Any], n: int, shares: int, slippage: float) -> dict[str, Any]:
    positions = [dict(p) for p in account["positions"]]
    sign = 1 if positions[n]["qty"] > 0 else -1
    positions[n]["qty"] -= sign * shares
    return account | {
        "positions": positions,
        "cash": account["cash"] + shares * positions[n]["price"] * (sign - slippage),
    }


@settings(max_examples=60, deadline=None)
@given(
    BOOKS,
    st.sampled_from(["REG_T", "PORTFOLIO"]),
    st.booleans(),
    st.sampled_from([0.0, 0.01]),
    st.sampled_from([0.0, 5.0]),
    st.integers(1, 60),
)
def test_every_order_is_the_least_that_brute_force_finds_given_those_before_it(
    rows: list[Any], kind: str, low_price: bool, slippage: float, buffer: float, short_by: int
) -> None:
    """LIQ-001, LIQ-002.

    One evaluation a quantity, one book at a time; both margin types, offsets between names, slippage.
    """
    policy = OFFSET | {"use_low_price_long": low_price}
    account = _account(rows, kind, policy, short_by)
    inputs = parse({"policy": policy, "accounts": [account]})
    terms = Terms(buffer=buffer, slippage=slippage)
    found = propose(inputs.book, inputs.market, inputs.policy, 0, terms)
    for order in found.orders:
        n = next(n for n, p in enumerate(account["positions"]) if p["symbol"] == order.symbol)
        size = abs(account["positions"][n]["qty"])
        tries = (_sold(account, n, q, slippage) for q in range(1, size + 1))
        least = next(
            (q for q, a in enumerate(tries, 1) if _excess(a["cash"], kind, a["positions"], policy) >= buffer),
            size,
        )
        assert order.qty == least
        account = _sold(account, n, least, slippage)
    after = _excess(account["cash"], kind, account["positions"], policy)
    assert found.excess_after == pytest.approx(after, abs=0.011)
    assert found.cured == (after >= buffer)
    split = propose_by_impact(inputs.book, inputs.market, inputs.policy, 0, terms)
    assert split.cured or not found.cured
    assert all(p.excess_one_lot_less < buffer for p in split.proofs if split.cured)


@settings(max_examples=60, deadline=None)
@given(BOOKS, st.booleans(), st.integers(1, 60), st.integers(1, 3), st.sampled_from([0.0, 0.01]))
def test_the_bound_that_skips_quantities_changes_no_answer(
    rows: list[Any], ramp: bool, short_by: int, lot: int, slippage: float
) -> None:
    policy = {"conc_ramp_to": 0.35} if ramp else {}
    inputs = parse({"policy": policy, "accounts": [_account(rows, "REG_T", policy, short_by)]})
    priced = PricedMarket.of(inputs.market, inputs.policy)
    bench = Workbench(inputs.book, priced, 0, Terms(lot=lot, slippage=slippage))
    for position in range(len(bench.codes)):
        choices = bench.quantities(position)
        sold = np.zeros((len(choices), len(bench.codes)))
        sold[:, position] = choices
        scanned = choices[bench.excess_after(sold) >= 0]
        assert bench.smallest_sufficient(position) == (float(scanned[0]) if len(scanned) else None)


TWO = [
    {"symbol": "A", "qty": 100, "price": 50, "beta": 1.5, "sigma": 0.2},
    {"symbol": "B", "qty": 100, "price": 60, "beta": 1.0, "sigma": 0.3},
]


@pytest.mark.parametrize("strategy", [propose, propose_by_impact])
@pytest.mark.parametrize(("cap", "lot"), [(10.0, 1), (60.0, 50), (35.5, 1), (1e9, 1), (5.0, 50)])
def test_no_order_exceeds_its_cap_or_breaks_a_lot(strategy: Any, cap: float, lot: int) -> None:
    inputs = parse({"accounts": [{"account_id": "a", "cash": -9000, "positions": TWO}]})
    found = strategy(
        inputs.book, inputs.market, inputs.policy, 0, Terms(lot=lot, most_shares={"A": cap, "B": cap})
    )
    assert all(o.qty <= min(cap, 100) and (o.qty % lot == 0 or o.qty == 100) for o in found.orders)
    assert found.cured or cap < 40


def test_a_stale_price_sells_nothing() -> None:
    inputs = parse({"accounts": [{"account_id": "a", "cash": -9000, "positions": TWO}]})
    for strategy in (propose, propose_by_impact):
        found = strategy(
            inputs.book, inputs.market.with_columns(stale=np.array([True, False])), inputs.policy, 0, Terms()
        )
        assert (found.orders, found.cured) == ((), False)
        assert "price of A is too old" in found.statement


def _liquidate(*arguments: str) -> Any:
    document = json.dumps({"accounts": [{"account_id": "a", "cash": -9000, "positions": TWO}]})
    return CliRunner().invoke(app, ["liquidate", "-", *arguments], input=document)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--order", "A,TYPO"], "--order", "'TYPO'"),
        (["--order", "A,A"], "--order", "'A'"),
        (["--order", ""], "--order", "''"),
        (["--order", "A", "--strategy", "min-impact"], "--order", "'A'"),
        (["--strategy", "all"], "--strategy", "'all'"),
        (["--adv", "A"], "--adv", "'A'"),
        (["--adv", "A:0"], "--adv", "'A:0'"),
        (["--adv", "A:1,A:2"], "--adv", "'A:2'"),
        (["--adv-cap", "0.1"], "--adv", "'A'"),
        (["--adv-cap", "2"], "--adv-cap", "2.0"),
        (["--lot", "0"], "--lot", "0"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(arguments: list[str], field: str, value: str) -> None:
    result = _liquidate(*arguments)
    assert result.exit_code == 2
    assert f"{field}: " in result.stderr
    assert f"value {value}" in result.stderr


def test_a_share_of_volume_caps_the_orders_of_the_command() -> None:
    """10% of $10,000 a day at $50 and $60: 20 and 16 whole shares."""
    result = _liquidate("--adv", "A:10000,B:10000", "--adv-cap", "0.1", "--json")
    answer = json.loads(result.stdout)
    (row,) = answer["accounts"]
    assert answer["policy_version"] == current_policy().version
    assert {o["symbol"]: o["qty"] for o in row["orders"]} == {"A": 20, "B": 16}
    assert row["cured"] is False


def test_a_given_sequence_that_does_not_suffice_speaks_of_the_named_positions() -> None:
    """All of A leaves 2,000 of equity against 35% of the 6,000 of B."""
    (row,) = json.loads(_liquidate("--order", "A", "--json").stdout)["accounts"]
    assert (row["cured"], row["excess_after"]) == (False, -100.0)
    assert "all that may be sold of the named positions" in row["certificate"]["statement"]
