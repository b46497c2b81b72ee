"""A shock over the whole book: only market inputs change, and the kernel says what follows."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from margin_platform.contracts.refusals import InputError
from margin_platform.firm.shocks import Shock, effect, shocked
from margin_platform.kernel.book import PORTFOLIO, REG_T, Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import current_policy

POLICY = current_policy()
MARKET = Market.of(
    [
        Instrument("CALM", price=100.0, beta=1.0, sigma=0.2),
        Instrument("WILD", price=50.0, beta=1.0, sigma=0.45),
    ]
)
CODE = MARKET.code_of()
BOOK = Book.of(
    [
        ("LONG", -5_000.0, REG_T, [(CODE["CALM"], 100.0)]),  # equity 5,000.00 of 10,000.00
        ("SHORT", 20_000.0, REG_T, [(CODE["CALM"], -100.0)]),
        ("OTHER", -1_000.0, PORTFOLIO, [(CODE["WILD"], 100.0)]),
    ]
)


def test_a_fall_of_one_name_is_worth_its_shares_times_the_fall_and_makes_a_call() -> None:
    """100 long and 100 short: clients as a whole neither win nor lose. The long one has 2,000.00 left of
    7,000.00, and after a fall of 60% owes 1,000.00 more than 4,000.00.
    """
    found: dict[str, Any] = effect(BOOK, MARKET, POLICY, Shock(["CALM"], -0.30))
    assert found["clients_pnl"] == 0.0
    assert found["calls"] == {"before": 0, "after": 1, "new": 1}
    (worst,) = found["worst"]
    assert (worst["account_id"], worst["equity_after"]) == ("LONG", 2_000.0)
    lack = -worst["excess_after"]
    assert found["deficiency"] == {"before": 0.0, "after": lack, "change": lack}
    assert found["unsecured"]["after"] == 0.0
    half: dict[str, Any] = effect(BOOK, MARKET, POLICY, Shock(["CALM"], -0.60))
    assert half["unsecured"] == {"before": 0.0, "after": 1_000.0, "change": 1_000.0}


def test_the_figures_are_those_of_the_kernel_at_the_shocked_prices() -> None:
    before = evaluate(BOOK, MARKET, POLICY).published
    after = evaluate(BOOK, replace(MARKET, price=MARKET.price * 0.85), POLICY).published
    found: dict[str, Any] = effect(BOOK, MARKET, POLICY, Shock(None, -0.15))
    assert found["requirement"]["after"] == pytest.approx(float(after.requirement.sum()), abs=0.005)
    moved = float((after.equity - before.equity).sum())
    assert found["clients_pnl"] == pytest.approx(moved, abs=0.005)


def test_a_tier_up_raises_the_add_on_by_the_kernels_own_rates_and_moves_no_price() -> None:
    rules = POLICY.volatility
    after = shocked(MARKET, Shock(None, tier_up=True), rules)
    assert (after.price == MARKET.price).all()
    added = evaluate(BOOK, after, POLICY).published.volatility_addon
    assert added[0] == pytest.approx(10_000.0 * rules.vol_addon1)
    assert added[2] == pytest.approx(5_000.0 * rules.vol_addon2)
    twice = shocked(after, Shock(None, tier_up=True), rules)
    assert (shocked(twice, Shock(None, tier_up=True), rules).sigma == twice.sigma).all()  # no third tier


def test_only_the_named_symbols_move_and_an_unvalued_account_is_counted_apart() -> None:
    after = shocked(MARKET, Shock(["WILD"], -0.5, tier_up=True), POLICY.volatility)
    assert (after.price[CODE["CALM"]], after.price[CODE["WILD"]]) == (100.0, 25.0)
    assert after.sigma[CODE["CALM"]] == 0.2
    gone = MARKET.with_columns(price=np.where(np.array(MARKET.symbols) == "WILD", np.nan, MARKET.price))
    found = effect(BOOK, gone, POLICY, Shock(["CALM"], -0.1))
    assert (found["accounts"], found["accounts_stale"]) == (2, 1)


@pytest.mark.parametrize(
    ("symbols", "move", "said"),
    [
        (["NO-SUCH"], -0.3, "symbol: unknown symbol, value 'NO-SUCH'"),
        (["CALM"], -1.0, "move: not above -1"),
        (["CALM"], 11.0, "move: not above -1"),
        (["CALM"], math.nan, "move: not above -1"),
        (["CALM"], 0.0, "move: neither a move of the price nor a tier"),
    ],
)
def test_a_shock_that_cannot_be_used_is_named(symbols: list[str], move: float, said: str) -> None:
    with pytest.raises(InputError, match=said):
        effect(BOOK, MARKET, POLICY, Shock(symbols, move))
