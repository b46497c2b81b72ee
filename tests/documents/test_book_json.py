"""Books as JSON: every bad field is refused by its path and value, and `margin evaluate` ends with 2."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.documents.book_input import InputError, loads, parse
from margin_platform.documents.figures import evaluation
from margin_platform.kernel.evaluate import evaluate

GOOD: dict[str, Any] = {
    "policy": {"long_rate": "0.25"},
    "accounts": [
        {
            "account_id": "A",
            "cash": 100.0,
            "positions": [{"symbol": "X", "qty": 10, "price": 50.0, "beta": 1.0}],
        }
    ],
    "market": {"Y": {"price": 20.0}},
}


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *way, last = [int(p) if p.isdecimal() else p for p in path.split("/")]
        target: Any = document
        for step in way:
            target = target[step]
        if value is KeyError:
            del target[last]
        else:
            target[last] = value

    return change


BAD = [
    ("accounts/0/positions/0/price", -5, "accounts[0].positions[0].price: not above 0, value -5"),
    ("accounts/0/positions/0/price", 0, "accounts[0].positions[0].price: not above 0, value 0"),
    ("accounts/0/positions/0/price", "50", "accounts[0].positions[0].price: not a number, value '50'"),
    ("accounts/0/positions/0/price", True, "accounts[0].positions[0].price: not a number, value True"),
    (
        "accounts/0/positions/0/price",
        float("inf"),
        "accounts[0].positions[0].price: not a finite number, value inf",
    ),
    ("accounts/0/positions/0/qty", None, "accounts[0].positions[0].qty: missing, value None"),
    (
        "accounts/0/positions/0/qty",
        float("nan"),
        "accounts[0].positions[0].qty: not a finite number, value nan",
    ),
    ("accounts/0/positions/0/symbol", KeyError, "accounts[0].positions[0].symbol: missing, value None"),
    ("accounts/0/positions/0/symbol", 7, "accounts[0].positions[0].symbol: not a non-empty text, value 7"),
    ("accounts/0/positions/0/sigma", -0.1, "accounts[0].positions[0].sigma: not at least 0, value -0.1"),
    ("accounts/0/positions/0/etf_leverage", 0, "accounts[0].positions[0].etf_leverage: zero, value 0"),
    (
        "accounts/0/positions/0/marginable",
        "no",
        "accounts[0].positions[0].marginable: not true or false, value 'no'",
    ),
    ("accounts/0/positions/0/contracts", {}, "accounts[0].positions[0].contracts: not a number, value {}"),
    (
        "accounts/0/positions/0/multiplier",
        False,
        "accounts[0].positions[0].multiplier: not a number, value False",
    ),
    ("accounts/0/positions", {}, "accounts[0].positions: not a list, value {}"),
    ("accounts/0/cash", KeyError, "accounts[0].cash: missing, value None"),
    ("accounts/0/cash", "1e3", "accounts[0].cash: not a number, value '1e3'"),
    ("accounts/0/account_id", "", "accounts[0].account_id: not a non-empty text, value ''"),
    ("accounts/0/margin_type", "CASH", "accounts[0].margin_type: not one of REG_T, PORTFOLIO, value 'CASH'"),
    ("accounts", KeyError, "accounts: missing, value None"),
    ("accounts/0", 3, "accounts[0]: not an object, value 3"),
    ("market/Y/price", -1, "market.Y.price: not above 0, value -1"),
    ("market", [], "market: not an object, value []"),
    ("policy/long_rat", 0.3, "policy.long_rat: unknown policy field, did you mean long_rate?, value 0.3"),
    ("policy/long_rate", True, "policy.long_rate: Value error, not a number, value True"),
    ("policy/long_rate", "x", "long_rate"),
    ("policy/use_conc", 1, "policy.use_conc: Input should be a valid boolean, value 1"),
    ("policy", 3, "policy: not an object, value 3"),
    ("scenarios", ["a"], "scenarios[0]: not a number, value 'a'"),
    (
        "accounts/0/positions/0/price",
        1e-12,
        "accounts[0].positions[0].price: not at least 1e-06, value 1e-12",
    ),
    ("accounts/0/positions/0/qty", 10**400, "accounts[0].positions[0].qty: not a finite number, value 1000"),
    ("accounts/0/positions/0/qty", 1e13, "accounts[0].positions[0].qty: above 1e+09, value 10000000000000.0"),
    (
        "accounts/0/positions/0/symbol",
        "\ud800",
        "accounts[0].positions[0].symbol: holds the invisible character U+D800, value '\\ud800'",
    ),
    ("accounts/0/cash", -1e16, "accounts[0].cash: not at least -1e+12, value -1e+16"),
    ("policy/long_rate", 10**400, "policy.long_rate: Value error, not a finite number, value 1000"),
    (
        "policy/liquidation_lot",
        10**10,
        "policy.liquidation_lot: Value error, beyond 1000000000, value 10000000000",
    ),
    ("scenarios", [-2], "scenarios[0]: not at least -1, value -2"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=[f"{p} = {v!r}" for p, v, _ in BAD])
def test_a_bad_field_is_refused_by_path_and_value(path: str, value: Any, message: str) -> None:
    document = copy.deepcopy(GOOD)
    _set(path, value)(document)
    with pytest.raises(InputError) as refused:
        parse(document)
    assert message in str(refused.value)


def test_an_account_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match=r"accounts\[1\].account_id: account given twice, value 'A'"):
        parse(GOOD | {"accounts": GOOD["accounts"] * 2})


def test_groups_that_do_not_nest_are_refused_by_name() -> None:
    rows = [
        {"symbol": s, "qty": 1, "price": 1, "product_group": "P", "portfolio_group": g}
        for s, g in (("A", "I"), ("B", "J"))
    ]
    with pytest.raises(InputError, match="portfolio_group"):
        parse({"accounts": [{"account_id": "A", "cash": 0, "positions": rows}]})


def test_an_optional_field_that_is_null_is_a_field_not_given() -> None:
    nothing = dict.fromkeys(
        (
            "price",
            "beta",
            "sigma",
            "up",
            "etf_leverage",
            "long_rate",
            "marginable",
            "contracts",
            "class_group",
        )
    )
    row = {"symbol": "Y", "qty": 10, **nothing}
    plain = {
        "accounts": [{"account_id": "A", "cash": 0, "positions": [{"symbol": "Y", "qty": 10}]}],
        "market": {"Y": {"price": 20.0}},
    }
    nulls = copy.deepcopy(plain)
    nulls["accounts"][0] |= {"margin_type": None, "positions": [row]}
    assert evaluation(parse(nulls)) == evaluation(parse(plain))


def test_a_key_given_twice_is_refused_and_not_silently_the_last() -> None:
    with pytest.raises(InputError, match=r"cash: given twice in one object, value \[1, 2\]"):
        loads('{"accounts": [{"account_id": "A", "cash": 1, "cash": 2}]}')


def test_text_nested_too_deeply_is_refused() -> None:
    with pytest.raises(InputError, match="nested too deeply"):
        loads("[" * 100_000)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"accounts": []}, []),
        ({"accounts": [{"account_id": "A", "cash": 1.5}]}, [("ACTIVE", 1.5, 0.0)]),
        ({"accounts": [{"account_id": "A", "cash": -1.0, "positions": []}]}, [("MARGIN_CALL", -1.0, 0.0)]),
        (
            {
                "accounts": [
                    {"account_id": "A", "cash": 0, "positions": [{"symbol": "X", "qty": 0, "price": 9}]}
                ]
            },
            [("ACTIVE", 0.0, 0.0)],
        ),
        (
            {"accounts": [{"account_id": "A", "cash": 0, "positions": [{"symbol": "X", "qty": 0}]}]},
            [("ACTIVE", 0.0, 0.0)],
        ),
        (
            {
                "accounts": [
                    {
                        "account_id": "A",
                        "cash": 0,
                        "positions": [{"symbol": "X", "qty": 1.000001, "price": 100}],
                    }
                ]
            },
            [("ACTIVE", 100.0, 35.0)],
        ),
        (
            {"accounts": [{"account_id": "A", "cash": 0, "positions": [{"symbol": "?", "qty": 1}]}]},
            [("STALE", None, None)],
        ),
    ],
)
def test_small_and_empty_books_are_answered(
    document: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    done = _run("-", "--json", text=json.dumps(document))
    assert done.exit_code == 0
    rows = json.loads(done.stdout)["accounts"]
    assert [(row["status"], row["equity"], row["maintenance_req"]) for row in rows] == expected


@pytest.mark.parametrize("text", ["", "{", '{"accounts": NaN}', "[1", "\x00"])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(loads(text))


def test_a_positions_own_figures_win_over_the_markets_and_each_set_is_a_row_of_its_own() -> None:
    document = {
        "accounts": [
            {"account_id": "A", "cash": 0, "positions": [{"symbol": "Y", "qty": 10}]},
            {"account_id": "B", "cash": 0, "positions": [{"symbol": "Y", "qty": 10, "price": 30}]},
        ],
        "market": {"Y": {"price": 20.0, "sigma": 0.5}},
    }
    given = parse(document)
    margin = evaluate(given.book, given.market, given.policy)
    assert margin.equity.tolist() == [200.0, 300.0]
    # the market's sigma where the position gives none
    assert margin.volatility_addon.tolist() == [10.0, 15.0]


def test_two_positions_cannot_give_one_symbol_two_prices() -> None:
    def accounts(first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
        rows = [{"symbol": "X", "qty": 10} | given for given in (first, second)]
        return {
            "accounts": [
                {"account_id": n, "cash": 0, "positions": [r]} for n, r in zip("AB", rows, strict=True)
            ]
        }

    with pytest.raises(InputError, match="an earlier position has X at 100") as refused:
        parse(accounts({"price": 100}, {"price": 101.5}))
    assert (refused.value.field, refused.value.value) == ("accounts[1].positions[0].price", 101.5)
    assert len(parse(accounts({"price": 100}, {"price": 100.0})).market.symbols) == 1
    parse(accounts({"price": 100}, {"price": 4.5, "contracts": 1, "qty": 100}))


def test_a_long_and_a_short_of_one_symbol_are_a_box_even_with_different_figures() -> None:
    rows = [
        {"symbol": "X", "qty": 100, "price": 100, "beta": 1.0},
        {"symbol": "X", "qty": -100, "price": 100},
    ]
    given = parse({"accounts": [{"account_id": "A", "cash": 0, "positions": rows}]})
    assert len(given.market.symbols) == 2
    assert evaluate(given.book, given.market, given.policy).maintenance_req[0] == 500


def _run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, ["evaluate", *arguments], input=text)


def test_margin_evaluate_reads_standard_input_and_prints_the_contract() -> None:
    done = _run("-", "--json", text=json.dumps(GOOD))
    assert done.exit_code == 0
    account = json.loads(done.stdout)["accounts"][0]
    assert (account["equity"], account["maintenance_req"], account["by_symbol"]) == (
        600.0,
        175.0,
        {"X": 175.0},
    )
    assert [row["scenario"] for row in account["stress"]] == [
        -0.08,
        -0.06,
        -0.04,
        -0.02,
        0.0,
        0.02,
        0.04,
        0.06,
    ]


def test_firm_totals_without_any_valued_account_are_unknown_and_never_zero() -> None:
    """With one account that can be valued, they are that account's, and the table says who is left out."""
    unpriced = {"account_id": "B", "cash": 1.0, "positions": [{"symbol": "Z", "qty": 1}]}
    alone, both = {"accounts": [unpriced]}, {"accounts": [unpriced, *GOOD["accounts"]]}
    firm = json.loads(_run("-", "--json", text=json.dumps(alone)).stdout)["firm"]
    assert (firm["beta_weighted_exposure"], firm["gross_mv"], firm["stress"][0]["firm_loss"]) == (
        None,
        None,
        None,
    )
    shown = _run("-", text=json.dumps(alone)).stdout
    assert "beta-weighted exposure –" in shown
    assert "$0.00" not in shown.split("Firm:")[1]
    shown = _run("-", text=json.dumps(both)).stdout.split("Firm:")[1]
    assert "without 1 of 2 accounts, which have no price" in " ".join(shown.split())
    assert "–" not in shown


def test_margin_evaluate_prints_a_table_for_people() -> None:
    done = _run("-", text=json.dumps(GOOD))
    assert done.exit_code == 0
    assert "ACTIVE" in done.stdout
    assert "firm loss" in done.stdout


def test_margin_evaluate_ends_with_2_and_one_line_on_stderr() -> None:
    bad = copy.deepcopy(GOOD)
    bad["accounts"][0]["positions"][0]["price"] = -5
    done = _run("-", "--json", text=json.dumps(bad))
    assert done.exit_code == 2
    assert done.stderr == "margin: accounts[0].positions[0].price: not above 0, value -5\n"
    assert done.stdout == ""


def test_margin_evaluate_names_a_file_that_is_not_there() -> None:
    done = _run("nowhere.json")
    assert done.exit_code == 2
    assert "nowhere.json" in done.stderr


def test_a_number_of_thousands_of_digits_is_named() -> None:
    with pytest.raises(InputError, match="input: a number of 5000 digits, value '9999"):
        loads('{"accounts": ' + "9" * 5_000 + "}")
