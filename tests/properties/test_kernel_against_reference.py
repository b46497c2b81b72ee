"""The kernel agrees to the cent with a slow exact calculation written from the rules,
on random books full of cliffs.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from tests.support.decimal_margin import cents, margin, published

FIGURES = (
    "equity",
    "long_mv",
    "short_mv",
    "gross_mv",
    "base_requirement",
    "concentration_addon",
    "volatility_addon",
    "htb_addon",
    "maintenance_req",
    "portfolio_margin_req",
    "margin_savings",
    "requirement",
    "excess",
    "reg_t_excess",
    "buying_power",
    "beta_weighted_exposure",
)
PARTS = ("base_requirement", "concentration_addon", "volatility_addon", "htb_addon")

prices = st.one_of(
    st.sampled_from([5.0, 4.99, 5.01, 2.5, 2.49, 16.67, 16.66, 0.01, 100.0, 50.0, 6.25]),
    st.integers(1, 50_000).map(lambda cents: cents / 100),
)
quantities = st.one_of(
    st.sampled_from([30, 25, 20, 100, -100, -30, -25, 1, -1]),
    st.integers(-3_000, 3_000).filter(bool),
    st.integers(-900_000, 900_000).filter(bool).map(lambda thousandths: thousandths / 1000),
)
GROUPS = [
    {},
    {"class_group": "SPX", "up": 0.06, "down": 0.08, "product_group": "HICAP", "portfolio_group": "INDEX"},
    {"class_group": "DJX", "up": 0.06, "down": 0.08, "product_group": "HICAP", "portfolio_group": "INDEX"},
    {"class_group": "NDX", "up": 0.10, "down": 0.10, "product_group": "NASD", "portfolio_group": "INDEX"},
    {"product_group": "UNLISTED"},
    {"issuer": "ALPHABET"},
    {"class_group": "PAIR", "issuer": "ALPHABET"},
]


@st.composite
def positions(draw: st.DrawFn) -> dict[str, Any]:
    number = draw(st.integers(0, 5))
    # groups nest: a symbol stays where its number puts it
    group = GROUPS[number + draw(st.sampled_from([0, 0, 1]))]
    row: dict[str, Any] = {
        "symbol": f"S{number}-{GROUPS.index(group)}",
        "qty": draw(quantities),
        "price": draw(prices),
        **group,
    }
    optional = {
        "beta": st.sampled_from([0.0, 0.6, 1.0, 1.5, -1.0, 2.5, 14.0]),
        "sigma": st.sampled_from([0.2, 0.38, 0.4, 0.4001, 0.57, 0.6, 0.6001, 0.9]),
        "volatility_tier": st.sampled_from([0, 1, 2]),
        "etf_leverage": st.sampled_from([1, 2, 3, -1, -2, -3]),
        "long_rate": st.sampled_from([0.25, 0.3, 0.45, 1.0]),
        "short_rate": st.sampled_from([0.3, 0.5, 1.0]),
        "htb_addon": st.sampled_from([0.0, 0.1, 0.25]),
        "marginable": st.booleans(),
    }
    for name, values in optional.items():
        if draw(st.integers(0, 3)) == 0:
            row[name] = draw(values)
    return row


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.lists(positions(), max_size=7))
    shared: dict[str, dict[str, Any]] = {}
    for n, row in enumerate(rows):  # one symbol, one set of figures: a long and a short of it are a box
        first = shared.setdefault(row["symbol"], row)
        rows[n] = first | {"qty": row["qty"]}
    account: dict[str, Any] = {
        "account_id": "A",
        "cash": draw(st.integers(-20_000_000, 20_000_000)) / 100,
        "positions": rows,
        "margin_type": draw(st.sampled_from(["REG_T", "PORTFOLIO"])),
    }
    policies = [
        {},
        {"use_conc": False},
        {"cap_long_at_mv": False, "use_low_price_long": False},
        {"conc_ramp_to": 0.45},
        {"vol_hysteresis": True, "conc_addon": 0.5},
        {"vol_addon2": 0.9, "warn_frac": 0.25},
    ]
    return {"accounts": [account], "policy": draw(st.sampled_from(policies))}


@settings(max_examples=400, deadline=None)
@given(documents())
def test_every_figure_of_a_random_book_agrees_to_the_cent(document: dict[str, Any]) -> None:
    """Rules MNT, CON, VOL, PM, STR together:
    shorts, the $5 cliff, exactly 30 and 40 percent, caps, boxes, funds, groups.
    """
    assert_agree(document)


@settings(max_examples=150, deadline=None)
@given(documents(), st.data())
def test_a_missing_price_leaves_its_account_unknown_and_every_other_as_it_was(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """MNT-011: two copies of a random account, one price of the second taken away."""
    whole = document["accounts"][0]
    assume(whole["positions"])
    lost = data.draw(st.sampled_from([p["symbol"] for p in whole["positions"]]), label="lost")
    rows = [
        {k: v for k, v in p.items() if k != "price"} if p["symbol"] == lost else p for p in whole["positions"]
    ]
    both = document | {"accounts": [whole, whole | {"account_id": "B", "positions": rows}]}
    first, second = evaluation(parse(both))["accounts"]
    assert first == evaluation(parse(document))["accounts"][0]
    assert margin(both)[1]["status"] == second["status"] == "STALE"
    assert second["stale_symbols"] == [lost]
    assert {name: second[name] for name in FIGURES} == dict.fromkeys(FIGURES)
    assert (second["stress"], second["portfolio_margin_detail"], second["idiosyncratic"]) == ([], {}, None)


@settings(max_examples=150, deadline=None)
@given(documents(), st.data())
def test_a_stale_price_changes_no_figure_and_marks_exactly_its_holders(
    document: dict[str, Any], data: st.DataObject
) -> None:
    """MNT-011: figures at the last good price agree with the reference;
    only the status says that nothing may be enforced.
    """
    given_book = parse(document)
    assume(len(given_book.market.symbols))
    stale = np.array(
        data.draw(
            st.lists(
                st.booleans(),
                min_size=len(given_book.market.symbols),
                max_size=len(given_book.market.symbols),
            )
        )
    )
    aged = replace(given_book, market=given_book.market.with_columns(stale=stale))
    row, fresh = evaluation(aged)["accounts"][0], evaluation(given_book)["accounts"][0]
    assert_agree(document)
    for name in (*FIGURES, "by_symbol", "stress"):
        assert row[name] == fresh[name], name
    old = sorted({given_book.market.symbols[c] for c in given_book.book.symbol if stale[c]})
    assert row["stale_symbols"] == old
    assert row["status"] == ("STALE" if old else fresh["status"])


def assert_agree(document: dict[str, Any]) -> None:
    expected = margin(document)[0]
    actual = evaluation(parse(document))["accounts"][0]
    figures = published(expected, document.get("policy", {}))
    for name in FIGURES:
        if name in PARTS:  # a cent of rounding may go to another part
            assert abs(actual[name] - float(expected[name])) < 0.01 + 1e-6, name
        else:
            assert actual[name] == pytest.approx(float(figures[name]), abs=0.001), name
    assert actual["status"] == expected["status"]
    by_tims = cents(expected["portfolio_margin_req"]) < cents(expected["maintenance_req"])
    assert actual["margin_method"] == ("PORTFOLIO" if by_tims else "REG_T")
    for symbol, requirement in expected["by_symbol"].items():
        assert (
            abs(actual["by_symbol"][symbol] - float(requirement))
            < 0.01 * len(document["accounts"][0]["positions"]) + 1e-6
        ), symbol
    for row, (pnl, held, again) in zip(actual["stress"], expected["stress"], strict=True):
        stressed = figures["excess"] + cents(pnl)
        found = [row["delta_pnl"], row["excess_stressed"], row["excess_recomputed"]]
        assert found == pytest.approx(
            [float(figure) for figure in (cents(pnl), stressed, cents(again))], abs=0.001
        ), row["scenario"]
        assert abs(float(stressed - held)) < 0.021
        assert row["underwater"] == (stressed < 0)
        assert row["underwater_recomputed"] == (cents(again) < 0)


def test_the_reference_itself_reproduces_the_worked_cases() -> None:
    """A reference that is wrong proves nothing: it must pass the account cases too."""
    cases = json.loads((Path(__file__).parents[1] / "golden" / "cases.json").read_text(encoding="utf-8"))
    checked = 0
    for case in cases["cases"]:
        if case["calc"] != "account":
            continue
        document = {
            "policy": cases["rulebook"] | (case["params"] or {}),
            "accounts": [{"account_id": "A", **case["inputs"]}],
        }
        found = margin(document)[0]
        for key, name in {
            "equity": "equity",
            "requirement": "maintenance_req",
            "base": "base_requirement",
        }.items():
            if key in case["expected"]:
                assert float(found[name]) == pytest.approx(case["expected"][key], abs=case["tol"] or 0.005)
                checked += 1
    assert checked > 40
