"""The policy lab: who would be called that was not, what it saved, and whose band a proposed policy changes at once."""

from __future__ import annotations

import datetime as dt

from margin_platform import sample_market
from margin_platform.backtest import books, runs
from margin_platform.backtest.crises import crisis
from margin_platform.backtest.lab import band_changes, compare
from margin_platform.book_json import parse
from margin_platform.policy import current_policy


def test_a_stricter_policy_calls_more_and_the_reverse_is_seen_from_the_other_side() -> None:
    strict = current_policy().override({"long_rate": 0.35})
    first, second = (runs.crisis_run(crisis("1990"), policy, 60) for policy in (current_policy(), strict))
    (pair,) = compare([first, second])
    (back,) = compare([second, first])
    assert pair["called_only_by_second"]
    assert pair["called_only_by_first"] == []
    assert back["called_only_by_first"] == pair["called_only_by_second"]
    assert pair["extra_calls"] == -back["extra_calls"] > 0
    assert pair["loss_avoided"] == -back["loss_avoided"]
    assert back["loss_avoided_per_extra_call"] is None   # fewer calls: nothing to divide by


def test_activating_a_policy_names_the_accounts_whose_band_would_change() -> None:
    """Two accounts, 10,000 of stock, equity 3,400 and 6,000: at 25% both are clear, at 35% the first is short by 100."""
    given = parse({"policy": {"use_conc": False, "use_vol": False}, "scenarios": [0], "accounts": [
        {"account_id": "thin", "cash": -6600, "positions": [{"symbol": "X", "qty": 100, "price": 100, "sigma": 0.2}]},
        {"account_id": "fat", "cash": -4000, "positions": [{"symbol": "X", "qty": 100, "price": 100, "sigma": 0.2}]}]})
    (row,) = band_changes(given.book, given.market, given.policy, given.policy.override({"long_rate": 0.35}))
    assert (row["account_id"], row["band"], row["excess"], row["proposed_excess"]) == ("thin", "CLEAR", 900, -100)
    assert row["proposed_band"].startswith("MARGIN_CALL")


def test_a_generated_book_can_be_put_to_a_proposed_policy() -> None:
    day = dt.date(2020, 3, 16)
    prices = {str(s): float(p) for s, p in sample_market.closes().loc[day.isoformat()].items()}
    given = runs.generated_book(books.generate(books.usual_counts(80), prices), current_policy())
    market = given.market.with_columns(price=given.market.price.copy())
    for symbol, code in market.code_of().items():
        market.price[code] = prices[symbol]
    assert band_changes(given.book, market, current_policy(), current_policy()) == []
    assert band_changes(given.book, market, current_policy(), current_policy().override({"long_rate": 0.40}))
