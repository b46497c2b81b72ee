"""What must hold of every account, whatever the book (MARGIN_RULES 1.2 and 10)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from margin_platform.documents.book_input import parse
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin, evaluate, evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.ledger import Ledger
from margin_platform.policy.policy import current_policy
from tests.support.booking import book

POLICY = current_policy()
FIGURES = (
    "equity",
    "maintenance_req",
    "portfolio_margin_req",
    "requirement",
    "beta_weighted_exposure",
    "concentration_addon",
    "worst_stress",
)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "symbol": st.sampled_from("ABCDEF"),
            "qty": st.integers(-500, 500).filter(bool),
            "price": st.integers(600, 30_000).map(lambda c: c / 100),
        },
        optional={"beta": st.sampled_from([-1.0, 0.5, 1.0, 2.0]), "sigma": st.sampled_from([0.2, 0.5, 0.7])},
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda r: r["symbol"],
)
cash_amounts = st.integers(-10_000_000, 10_000_000).map(lambda c: c / 100)
quiet = settings(max_examples=80, deadline=None)


def margin_of(positions: list[dict[str, Any]], cash: float, **policy: Any) -> Margin:
    given_book = parse(
        {"policy": policy, "accounts": [{"account_id": "A", "cash": cash, "positions": positions}]}
    )
    return evaluate(given_book.book, given_book.market, given_book.policy, detail=True)


@quiet
@given(rows, cash_amounts)
def test_no_requirement_is_negative_or_unknown_and_components_sum_to_it(
    positions: list[dict[str, Any]], cash: float
) -> None:
    """MNT-010."""
    m = margin_of(positions, cash)
    for name in (
        "base_requirement",
        "concentration_addon",
        "volatility_addon",
        "htb_addon",
        "maintenance_req",
        "portfolio_margin_req",
    ):
        assert getattr(m, name)[0] >= 0, name
    parts = m.base_requirement + m.concentration_addon + m.volatility_addon + m.htb_addon + m.cap_adjustment
    assert parts[0] == pytest.approx(m.position_requirement.sum(), abs=1e-6)
    assert m.requirement[0] == pytest.approx(parts[0], abs=1e-6)


@quiet
@given(rows, cash_amounts, st.integers(1, 1_000_000))
def test_a_deposit_raises_excess_by_exactly_its_amount(
    positions: list[dict[str, Any]], cash: float, deposit: int
) -> None:
    assert margin_of(positions, cash + deposit).excess[0] - margin_of(positions, cash).excess[
        0
    ] == pytest.approx(deposit, abs=1e-6)


@quiet
@given(rows, cash_amounts, st.sampled_from([1.25, 2.0, 10.0]))
def test_the_requirement_is_homogeneous_in_prices_while_no_cliff_is_crossed(
    positions: list[dict[str, Any]], cash: float, k: float
) -> None:
    # shorts leave the $5-a-share limb at $16.67
    above_floors = [r | {"price": r["price"] + 20} for r in positions]
    scaled = [r | {"price": r["price"] * k} for r in above_floors]
    assert margin_of(scaled, cash).maintenance_req[0] == pytest.approx(
        k * margin_of(above_floors, cash).maintenance_req[0], rel=1e-9
    )


@quiet
@given(rows, cash_amounts)
def test_equity_is_linear_in_each_price_with_slope_quantity(
    positions: list[dict[str, Any]], cash: float
) -> None:
    raised = [positions[0] | {"price": positions[0]["price"] + 1}, *positions[1:]]
    slope = margin_of(raised, cash).equity[0] - margin_of(positions, cash).equity[0]
    assert slope == pytest.approx(positions[0]["qty"], abs=1e-6)


@quiet
@given(rows, cash_amounts)
def test_adding_a_position_never_lowers_the_base(positions: list[dict[str, Any]], cash: float) -> None:
    more = [*positions, {"symbol": "NEW", "qty": 100, "price": 50.0}]
    assert margin_of(more, cash).base_requirement[0] >= margin_of(positions, cash).base_requirement[0]


@quiet
@given(rows, cash_amounts)
def test_turning_a_long_into_cash_never_lowers_excess_without_concentration(
    positions: list[dict[str, Any]], cash: float
) -> None:
    longs = [r for r in positions if r["qty"] > 0]
    assume(longs)
    sold = longs[0]
    rest = [r for r in positions if r is not sold]
    before, after = (
        margin_of(positions, cash, use_conc=False),
        margin_of(rest, cash + sold["qty"] * sold["price"], use_conc=False),
    )
    assert after.excess[0] >= before.excess[0] - 1e-6


@quiet
@given(st.integers(-300, 300).filter(bool), st.integers(1, 50_000), st.integers(0, 500))
def test_a_fill_at_the_mark_costs_its_fee_and_buying_then_selling_returns_the_quantity(
    qty: int, price_cents: int, fee_cents: int
) -> None:
    price, fee = price_cents / 100, fee_cents / 100
    ledger = Ledger()
    base = {"account_id": "A", "symbol": "X", "price": price, "timestamp": 1}
    ledger.apply("fills.v1", base | {"fill_id": "1", "qty": qty, "fee": fee})
    assert ledger.cash("A") + ledger.positions("A")["X"] * price == pytest.approx(-fee, abs=1e-6)
    ledger.apply("fills.v1", base | {"fill_id": "2", "qty": -qty})
    assert ledger.positions("A") == {}
    assert ledger.cash("A") == pytest.approx(-fee, abs=1e-6)


@quiet
@given(st.integers(-300, 300).filter(bool), st.sampled_from([2.0, 1.5, 0.1, 3.0]), st.integers(200, 50_000))
def test_a_split_changes_equity_by_nothing(qty: int, ratio: float, price_cents: int) -> None:
    """LDG-004: quantity times ratio at the price over ratio, the fraction in cash,
    to the millionth of a share.
    """
    price = price_cents / 100
    ledger = Ledger()
    ledger.apply(
        "fills.v1",
        {"fill_id": "1", "account_id": "A", "symbol": "X", "qty": qty, "price": price, "timestamp": 1},
    )
    before = ledger.cash("A") + qty * price
    action = {
        "action_id": "s",
        "symbol": "X",
        "kind": "SPLIT",
        "ratio": ratio,
        "post_price": price / ratio,
        "ex_date": "2026-06-05",
    }
    book(ledger, AnnouncedActions(), "corporate_actions.v1", action | {"timestamp": 2})
    held = ledger.positions("A").get("X", 0.0)
    assert held == math.trunc(held)
    assert ledger.cash("A") + held * price / ratio == pytest.approx(before, abs=0.01)


@quiet
@given(st.integers(-300, 300).filter(bool), st.integers(200, 50_000), st.integers(1, 199))
def test_an_accrued_dividend_changes_equity_by_nothing_across_its_ex_date(
    qty: int, price_cents: int, dividend_cents: int
) -> None:
    """LDG-003: the price falls by the dividend, a long has it in cash, a short has paid it."""
    ledger = Ledger()
    ledger.apply(
        "fills.v1",
        {
            "fill_id": "1",
            "account_id": "A",
            "symbol": "X",
            "qty": qty,
            "price": price_cents / 100,
            "timestamp": 1,
        },
    )
    action = {
        "action_id": "d",
        "symbol": "X",
        "kind": "DIVIDEND",
        "amount": dividend_cents / 100,
        "ex_date": "2026-06-05",
        "timestamp": 2,
    }
    book(ledger, AnnouncedActions(), "corporate_actions.v1", action)
    assert ledger.cash("A") + qty * (price_cents - dividend_cents) / 100 == pytest.approx(0.0, abs=1e-6)


def _random_book(seed: int, accounts: int, symbols: int) -> tuple[Book, Market]:
    generator = np.random.default_rng(seed)
    groups: list[dict[str, Any]] = [
        {},
        {"class_group": "SPX", "product_group": "HICAP", "up": 0.06, "down": 0.08},
        {"issuer": "I"},
    ]
    instruments = [
        Instrument(
            f"S{n}",
            float(np.exp(generator.normal(3, 1))),
            float(generator.normal(1, 1)),
            float(generator.uniform(0.1, 0.9)),
            **groups[n % 7 if n % 7 < 3 else 0],
        )
        for n in range(symbols)
    ]
    market = Market.of(instruments)
    held = [
        (
            f"A{n}",
            float(generator.normal(0, 50_000)),
            int(generator.integers(0, 2)),
            [
                (int(s), float(generator.integers(-200, 200)))
                for s in generator.integers(0, symbols, generator.integers(0, 12))
            ],
        )
        for n in range(accounts)
    ]
    return Book.of(held), market


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_repricing_some_symbols_and_sweeping_their_holders_equals_a_full_sweep(seed: int) -> None:
    """The stream's short way: only the changed rows and only the accounts that hold them."""
    book, market = _random_book(seed, 400, 60)
    generator = np.random.default_rng(seed)
    codes = np.sort(generator.choice(60, 7, replace=False))
    prices = market.price[codes] * generator.uniform(0.2, 2.0, 7)
    new = market.price.copy()
    new[codes] = prices
    full = evaluate(book, market.with_columns(price=new), POLICY)
    priced = PricedMarket.of(market.with_columns(price=market.price.copy()), POLICY).with_prices(
        codes, prices
    )
    touched = book.accounts_holding(codes)
    some = evaluate_accounts(book, priced, touched)
    for name in (*FIGURES, "stress_excess_recomputed", "status"):
        np.testing.assert_array_equal(getattr(some, name), getattr(full, name)[touched], err_msg=name)
    untouched = np.setdiff1d(np.arange(len(book)), touched)
    before = evaluate(book, market, POLICY)
    np.testing.assert_array_equal(before.requirement[untouched], full.requirement[untouched])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_closed_position_counts_for_nothing(seed: int) -> None:
    """Liquidation tries quantities down to zero in place, in accounts with boxes and shared issuers too."""
    book, market = _random_book(seed, 400, 20)
    closed = np.random.default_rng(seed).random(len(book.quantity)) < 0.4
    emptied = replace(book, quantity=np.where(closed, 0.0, book.quantity))
    kept = [0, *np.cumsum(~closed)]
    without = replace(
        book,
        offsets=np.array(kept)[book.offsets],
        symbol=book.symbol[~closed],
        quantity=book.quantity[~closed],
    )
    for name in (*FIGURES, "stress_excess_recomputed", "status"):
        found, expected = (getattr(evaluate(b, market, POLICY), name) for b in (emptied, without))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9, err_msg=name)


def test_two_threads_and_one_give_the_same_columns() -> None:
    book, market = _random_book(7, 9_000, 60)
    priced = PricedMarket.of(market, POLICY)
    together = evaluate_accounts(book, priced, np.arange(9_000))
    apart = [evaluate_accounts(book, priced, np.arange(a, a + 3_000)) for a in (0, 3_000, 6_000)]
    for name in FIGURES:
        np.testing.assert_array_equal(
            getattr(together, name), np.concatenate([getattr(m, name) for m in apart]), err_msg=name
        )
