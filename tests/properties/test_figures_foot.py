"""Published figures foot to the cent, wherever they are shown:
on topics, in documents, in the page's detail, in explain.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.contracts.events.figure_names import COMPONENTS
from margin_platform.dashboard.account.detail import explain as detail
from margin_platform.dashboard.account.detail import whatif
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from margin_platform.documents.rebuilt import document
from margin_platform.enforcement.explanation import evidence_of
from margin_platform.kernel.apportionment import apportioned, apportioned_table
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.sweep.columns import Status
from margin_platform.liquidation.cures import cures_of
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.bands import Level, band_codes, levels
from margin_platform.snapshots.events import calc_events, status_event
from margin_platform.snapshots.giving_out.inputs import Inputs
from tests.support.footing import in_cents, unequal

POLICY = current_policy()
GROUPS: list[dict[str, Any]] = [
    {},
    {"class_group": "SPX", "up": 0.06, "down": 0.08, "product_group": "HICAP", "portfolio_group": "INDEX"},
    {"issuer": "ALPHABET"},
]
holdings = st.lists(
    st.fixed_dictionaries(
        {
            "qty": st.one_of(
                st.integers(-3_000, 3_000).filter(bool),
                st.integers(-900_000, 900_000).filter(bool).map(lambda n: n / 1000),
            ),
            "price": st.integers(1, 9_000_000).map(lambda n: n / 10_000),
            "sigma": st.sampled_from([0.2, 0.5, 0.7]),
            "beta": st.sampled_from([-1.0, 0.6, 1.0, 1.37]),
            "htb_addon": st.sampled_from([0.0, 0.07]),
            "group": st.sampled_from(GROUPS),
        }
    ),
    max_size=7,
)
cash_amounts = st.integers(-40_000_000, 40_000_000).map(lambda cents: cents / 100)
accounts = st.lists(st.tuples(cash_amounts, st.sampled_from([0, 1]), holdings), min_size=1, max_size=3)
random_books = settings(max_examples=150, deadline=None)


def _book(drawn: list[tuple[float, int, list[dict[str, Any]]]]) -> tuple[Book, Market]:
    instruments, rows = [], []
    for n, (cash, margin_type, held) in enumerate(drawn):
        positions = []
        for h in held:
            positions.append((len(instruments), h["qty"]))
            instruments.append(
                Instrument(
                    f"S{len(instruments)}",
                    h["price"],
                    h["beta"],
                    h["sigma"],
                    htb_addon=h["htb_addon"],
                    **h["group"],
                )
            )
        rows.append((f"A{n}", cash, margin_type, positions))
    return Book.of(rows), Market.of(instruments or [Instrument("NONE", 1.0)])


def _statuses(drawn: list[tuple[float, int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    book, market = _book(drawn)
    margin, times = evaluate(book, market, POLICY), np.ones(len(market.symbols), dtype=np.int64)
    inputs, codes = Inputs(1, 1, {}, times), band_codes(evaluate(book, market, POLICY))
    calc = calc_events(book, market, margin, inputs)
    return [
        status_event(event, n, int(codes[n]), book, market, margin, inputs) for n, event in enumerate(calc)
    ]


@random_books
@given(accounts)
def test_every_event_foots_and_its_status_and_band_follow_from_its_cents(drawn: Any) -> None:
    for event in _statuses(drawn):
        assert unequal(event) == []
        level = "MARGIN_CALL" if event["excess"] < 0 else None
        if level:
            assert (event["status"], event["band"].split(".")[0]) == (level, level)
        else:
            assert event["status"] != "MARGIN_CALL"


@random_books
@given(accounts)
def test_explain_arrives_at_the_published_figures_and_its_rows_sum_to_them(drawn: Any) -> None:
    for event in _statuses(drawn):
        found = evidence_of(event)
        assert found["different"] == {}
        assert in_cents(*(p["requirement"] for p in found["positions"])) == in_cents(event["maintenance_req"])
        cash = [cure["amount"] for cure in found["cures"] if cure["action"] == "DEPOSIT_CASH"]
        assert cash == ([-event["excess"]] if event["excess"] < 0 else [])
        assert [c.amount for c in cures_of(event, POLICY) if c.action == "DEPOSIT_CASH"] == cash


@random_books
@given(accounts)
def test_a_page_s_table_sums_both_ways_to_the_line_under_it(drawn: Any) -> None:
    for event in _statuses(drawn):
        page = detail(event, event)
        assert page["agrees"]
        assert unequal(page["figures"]) == []
        parts = ("base", "concentration", "volatility", "hard_to_borrow", "cap")
        for row in page["positions"]:
            assert in_cents(*(row[part] for part in parts)) == in_cents(row["requirement"])
        for part, name in zip((*parts, "requirement"), (*COMPONENTS, "maintenance_req"), strict=True):
            assert in_cents(*(row[part] for row in page["positions"])) == in_cents(event[name]), part


@random_books
@given(accounts)
def test_the_document_of_a_book_foots_down_to_symbols_groups_and_the_firm(drawn: Any) -> None:
    for event in _statuses(drawn):
        result = evaluation(parse(document(event), POLICY))
        row, firm = result["accounts"][0], result["firm"]
        assert unequal(row) == []
        assert in_cents(*row["by_symbol"].values()) == in_cents(row["maintenance_req"])
        assert in_cents(*row["portfolio_margin_detail"].values()) == in_cents(row["portfolio_margin_req"])
        assert [s["firm_loss"] for s in firm["stress"]] == [s["unsecured"] for s in row["stress"]]


@random_books
@given(cash_amounts, holdings, st.integers(1, 40_000_000))
def test_a_deposit_adds_exactly_what_is_paid_in(cash: float, held: Any, deposit: int) -> None:
    """W7: 1,000.00 adds 1,000.00 to equity and to excess,
    also where equity ends on half a cent and changes its sign.
    """
    (event,) = _statuses([(cash, 0, held)])
    answer = whatif(event, [], deposit / 100, lambda _: None)
    for name in ("cash", "equity", "excess") if "cash" in answer["before"] else ("equity", "excess"):
        assert in_cents(answer["after"][name]) - in_cents(answer["before"][name]) == deposit


@random_books
@given(cash_amounts, holdings)
def test_a_published_figure_is_within_its_roundings_of_the_exact_one(cash: float, held: Any) -> None:
    book, market = _book([(cash, 0, held)])
    margin = evaluate(book, market, POLICY)
    for name, cents in {
        "equity": 0.51,
        "excess": 1.01,
        "maintenance_req": 0.51,
        "margin_savings": 1.01,
        "long_mv": 1.01,
        "gross_mv": 1.51,
        **dict.fromkeys(COMPONENTS, 1.01),
    }.items():
        assert abs(getattr(margin.published, name)[0] - getattr(margin, name)[0]) <= cents / 100, name


def test_status_and_band_of_an_account_half_a_cent_short_are_those_of_its_cents() -> None:
    """100.005 of stock at 25% held against a debit:
    every figure ends on a fraction, and the published two decide.
    """
    market = Market.of([Instrument("X", 10.0001, 1.0, 0.2)])
    for thousandths in range(-20, 21):
        book = Book.of([("A", -750.0 + thousandths / 1000, 0, [(0, 100.0)])])
        margin = evaluate(book, market, POLICY.override({"use_conc": False}))
        short = margin.published.excess[0] < 0
        assert (margin.status[0] == Status.MARGIN_CALL) == short
        assert (levels(band_codes(margin))[0] == Level.MARGIN_CALL) == short


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_apportioned_parts_sum_to_their_total_and_move_less_than_a_cent(parts: list[float]) -> None:
    total = round(sum(parts), 2)
    found = apportioned(np.array(parts)[:, None], np.array([total]))[:, 0]
    assert in_cents(*found) == in_cents(total)
    assert np.abs(found - parts).max() < 0.01 + 1e-6


def test_a_part_of_nothing_gets_no_cent() -> None:
    assert apportioned(np.array([[0.004], [0.0], [0.004], [0.002]]), np.array([0.01]))[:, 0].tolist() == [
        0.01,
        0,
        0,
        0,
    ]
    assert apportioned(np.array([[0.3], [np.nan]]), np.array([np.nan]))[:, 0].tolist() != [0.3, 0]


@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.001, 0.333, 1.005, -0.707, 12.3456]), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    )
)
def test_a_table_foots_both_ways(rows: list[list[float]]) -> None:
    exact = np.array(rows)
    total = np.array([round(float(exact.sum()), 2)])
    down = apportioned(exact.sum(axis=1)[:, None], total)[:, 0]
    across = apportioned(exact.sum(axis=0)[:, None], total)[:, 0]
    found = apportioned_table(exact, down, across)
    assert [in_cents(*row) for row in found] == [in_cents(x) for x in down]
    assert [in_cents(*column) for column in found.T] == [in_cents(x) for x in across]
    assert np.abs(found - exact).max() < 0.03
