"""Rules the worked cases do not reach, each at its boundary."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.valuation_points import POINTS, valuation_points
from margin_platform.kernel.volatility_tiers import tiers
from margin_platform.policy.policy import PolicyError, current_policy
from margin_platform.rulebook.intraday_deficit import intraday_deficit
from margin_platform.volatility.estimator import historical_volatility


def row_of(
    positions: list[dict[str, Any]], cash: float = 0.0, kind: str = "REG_T", **policy: Any
) -> dict[str, Any]:
    account = {"account_id": "A", "cash": cash, "positions": positions, "margin_type": kind}
    result: dict[str, Any] = evaluation(parse({"policy": policy, "accounts": [account]}))["accounts"][0]
    return result


def test_mnt_005_a_long_that_is_not_marginable_needs_all_of_its_value_and_a_short_one_its_short_rate() -> (
    None
):
    assert (
        row_of([{"symbol": "N", "qty": 100, "price": 50, "marginable": False}], use_conc=False)[
            "maintenance_req"
        ]
        == 5000
    )
    short = row_of(
        [{"symbol": "N", "qty": -100, "price": 50, "marginable": False}], cash=10_000, use_conc=False
    )
    assert short["maintenance_req"] == 1500
    assert short["reg_t_requirement"] == 2500  # 150% of value; 100% are the proceeds


@pytest.mark.parametrize(
    ("leverage", "required"), [(0.5, 2500), (-1, 2500), (-2, 5000), (3, 7500), (5, 10_000)]
)
def test_mnt_007_a_funds_factor_raises_its_rate_and_never_lowers_it(leverage: float, required: float) -> None:
    position = {"symbol": "F", "qty": 100, "price": 100, "etf_leverage": leverage}
    assert row_of([position], use_conc=False)["maintenance_req"] == required


def test_mnt_007_a_funds_own_rate_above_its_whole_value_stays() -> None:
    """The limit of 100% is on what the factor adds:
    a house rate of 120% on a short fund is not brought down by it.
    """
    position = {"symbol": "F", "qty": -100, "price": 100, "short_rate": 1.2}
    for fund in (position, position | {"etf_leverage": 2}):
        assert row_of([fund], use_conc=False)["maintenance_req"] == 12_000


def test_mnt_009_a_hard_to_borrow_short_adds_the_desks_rate_and_a_long_does_not() -> None:
    short = row_of([{"symbol": "H", "qty": -100, "price": 100, "htb_addon": 0.2}], use_conc=False)
    assert (short["htb_addon"], short["maintenance_req"]) == (2000, 3000 + 2000)
    assert (
        row_of([{"symbol": "H", "qty": 100, "price": 100, "htb_addon": 0.2}], use_conc=False)["htb_addon"]
        == 0
    )


def test_mnt_011_a_missing_price_makes_the_account_stale_and_no_figure_is_made_up() -> None:
    row = row_of([{"symbol": "A", "qty": 100, "price": 50}, {"symbol": "LOST", "qty": -10}], cash=1000)
    assert row["status"] == "STALE"
    assert row["stale_symbols"] == ["LOST"]
    money = (
        "equity",
        "excess",
        "maintenance_req",
        "long_mv",
        "portfolio_margin_req",
        "beta_weighted_exposure",
        "base_requirement",
    )
    assert [row[name] for name in money] == [None] * len(money)
    assert row["stress"] == []


def test_mnt_011_a_stale_price_keeps_its_figures_and_marks_the_account() -> None:
    given = parse(
        {
            "accounts": [
                {"account_id": "A", "cash": -9000, "positions": [{"symbol": "X", "qty": 100, "price": 100}]}
            ]
        }
    )
    margin = evaluate(given.book, given.market.with_columns(stale=np.array([True])), given.policy)
    assert margin.status[0] == 3
    assert margin.equity[0] == 1000


def test_rgt_005_the_minimum_equity_is_shown_and_calls_nobody() -> None:
    row = row_of([{"symbol": "A", "qty": 10, "price": 100}], cash=500)
    assert (row["meets_minimum_equity"], row["status"]) == (False, "ACTIVE")
    assert row_of([{"symbol": "A", "qty": 10, "price": 100}], cash=1000)["meets_minimum_equity"]


def test_con_003_two_share_classes_of_one_issuer_count_together() -> None:
    others = [{"symbol": f"O{n}", "qty": 15, "price": 100} for n in range(4)]
    pair = [{"symbol": s, "qty": 20, "price": 100, "issuer": "Alphabet"} for s in ("GOOG", "GOOGL")]
    assert row_of(pair + others)["concentration_addon"] == 400  # 40% together; each is 20%
    assert row_of([{**p, "issuer": p["symbol"]} for p in pair] + others)["concentration_addon"] == 0


@pytest.mark.parametrize(("shares", "addon"), [(30, 0.0), (40, 266.67), (50, 500.0), (80, 800.0)])
def test_con_004_a_slope_replaces_the_cliff_by_policy(shares: int, addon: float) -> None:
    """From 30% to 45%: at 40% two thirds of the add-on, from 45% all of it."""
    rest = [{"symbol": f"O{n}", "qty": (100 - shares) / 4, "price": 100} for n in range(4)]
    assert (
        row_of([{"symbol": "A", "qty": shares, "price": 100}, *rest], conc_ramp_to=0.45)[
            "concentration_addon"
        ]
        == addon
    )


def test_con_001_an_account_with_80_percent_in_one_stock_shows_the_add_on() -> None:
    row = row_of([{"symbol": "A", "qty": 80, "price": 100}, {"symbol": "B", "qty": 20, "price": 100}])
    assert (row["concentration_addon"], row["maintenance_req"]) == (800, 2500 + 800)


def test_vol_004_missing_sessions_and_short_history_give_the_marked_default() -> None:
    closes = 100 * np.exp(np.cumsum(np.tile([0.03, -0.02], 20)))[:31]
    assert historical_volatility(closes, current_policy()).quality == "OK"
    gaps = closes.copy()
    gaps[5:11] = np.nan
    assert historical_volatility(gaps, current_policy()).quality == "DEFAULT"
    gaps[10] = closes[10]  # five missing are allowed, and are no zero returns
    assert historical_volatility(gaps, current_policy()).observations == 25
    assert historical_volatility(closes[:20], current_policy()).quality == "DEFAULT"  # 19 returns
    assert historical_volatility(closes[:21], current_policy()).quality == "OK"  # 20 returns


def test_vol_004_a_close_that_is_no_price_is_refused_by_value() -> None:
    with pytest.raises(ValueError, match="not above zero, value"):
        historical_volatility(np.array([10.0, 0.0, 11.0]), current_policy())


def test_vol_005_with_hysteresis_a_tier_is_left_only_below_its_leaving_level() -> None:
    rules = current_policy().override({"vol_hysteresis": True}).volatility
    assert tiers(np.array([0.39, 0.38, 0.379]), np.array([1, 1, 1]), rules).tolist() == [1, 1, 0]
    assert tiers(np.array([0.59, 0.57, 0.569, 0.37, np.nan]), np.full(5, 2), rules).tolist() == [
        2,
        2,
        1,
        0,
        0,
    ]
    assert tiers(np.array([0.39]), np.array([1]), current_policy().volatility).tolist() == [0]


def test_pm_001_the_ten_points_are_equidistant_and_the_worst_is_outermost() -> None:
    position = {"symbol": "SPY", "qty": 100, "price": 100, "up": 0.06, "down": 0.08}
    given = parse({"accounts": [{"account_id": "A", "cash": 0, "positions": [position]}]})
    pnl = valuation_points(given.book, given.market, given.policy, 0)["SPY"]
    assert len(POINTS) == 10
    assert pnl == pytest.approx([-800, -640, -480, -320, -160, 120, 240, 360, 480, 600])


def test_pm_006_contracts_have_a_minimum_not_above_the_value_of_a_long_one() -> None:
    """H05: a long straddle of 200 contracts needs $7,500 at least;
    a cheap long option no more than its value.
    """

    def option(price: float, sign: int = 1) -> dict[str, Any]:
        return {
            "symbol": "O",
            "qty": sign * 10_000,
            "price": price,
            "up": 0.0,
            "down": 0.0,
            "contracts": sign * 100,
            "multiplier": 100,
        }

    assert row_of([option(5.0)])["portfolio_margin_req"] == 0.375 * 100 * 100
    assert row_of([option(0.05)])["portfolio_margin_req"] == 500
    assert row_of([option(0.05, -1)])["portfolio_margin_req"] == 3750
    straddle = [
        option(1.68) | {"symbol": "C", "class_group": "IBM"},
        option(3.18) | {"symbol": "P", "class_group": "IBM"},
    ]
    assert row_of(straddle)["portfolio_margin_req"] == 7500
    dear = option(20.0) | {"qty": 100}  # held as 100 contracts at $20 each: $2,000 in all
    assert row_of([dear])["portfolio_margin_req"] == row_of([dear])["long_mv"] == 2000
    bare = {"symbol": "IBM", "qty": 0, "price": 97.73, "contracts": 200, "multiplier": 100}
    assert row_of([bare])["portfolio_margin_req"] == 7500
    # nothing that could move
    assert (row_of([bare])["gross_mv"], row_of([bare])["idiosyncratic"]) == (0, None)


def test_pm_007_the_uniform_grid_is_a_named_house_scenario_of_margin_evaluate_and_no_requirement() -> None:
    """H01: long and short 15,000 of two stocks cancel on the uniform grid; TIMS asks 15% of each."""
    rows = [{"symbol": "AAPL", "qty": 100, "price": 150.0}, {"symbol": "MSFT", "qty": -50, "price": 300.0}]
    held = {"A": rows, "B": rows[:1], "C": [{"symbol": "LOST", "qty": 1}]}
    document = json.dumps(
        {"accounts": [{"account_id": a, "cash": 50_000, "positions": p} for a, p in held.items()]}
    )
    plain = json.loads(CliRunner().invoke(app, ["evaluate", "-", "--json"], input=document).stdout)
    asked = json.loads(
        CliRunner().invoke(app, ["evaluate", "-", "--house-grid", "--json"], input=document).stdout
    )
    hedged, long, unknown = (account.pop("house_scenario") for account in asked["accounts"])
    assert plain == asked  # nothing but the named scenario is added
    assert (hedged["name"], hedged["loss"], asked["accounts"][0]["portfolio_margin_req"]) == (
        "HOUSE_UNIFORM_GRID",
        0.0,
        4500.0,
    )
    assert [point["move"] for point in long["points"]] == [
        -0.15,
        -0.10,
        -0.05,
        -0.03,
        -0.01,
        0.01,
        0.03,
        0.05,
        0.10,
        0.15,
    ]
    assert (long["loss"], long["points"][0]["pnl"], long["points"][-1]["pnl"]) == (2250.0, -2250.0, 2250.0)
    assert unknown is None
    shown = CliRunner().invoke(app, ["evaluate", "-", "--house-grid"], input=document).stdout
    assert "House scenario: uniform grid" in shown


@pytest.mark.parametrize(("equity", "held_to"), [(100_000.0, 15_000.0), (99_999.99, 22_500.0)])
def test_pm_008_portfolio_margin_needs_its_minimum_equity(equity: float, held_to: float) -> None:
    """100,000 of four stocks in equal parts: 15% each under TIMS;
    a cent below the minimum equity the rules hold.
    """
    positions = [{"symbol": s, "qty": 100, "price": 250, "long_rate": 0.225} for s in "ABCD"]
    row = row_of(positions, cash=round(equity - 100_000, 2), kind="PORTFOLIO")
    assert (row["equity"], row["requirement"]) == (equity, held_to)


def test_pm_009_both_requirements_and_the_saving_are_shown_for_every_account() -> None:
    ko_pep = row_of(
        [{"symbol": "KO", "qty": 500, "price": 60}, {"symbol": "PEP", "qty": -200, "price": 150}],
        cash=100_000,
        use_conc=False,
    )
    assert ko_pep["portfolio_margin_req"] == 9000  # 15% of each: no credit between different stocks (PM-005)
    assert (ko_pep["maintenance_req"], ko_pep["margin_savings"], ko_pep["margin_method"]) == (
        16_500,
        7500,
        "PORTFOLIO",
    )
    penny = row_of([{"symbol": "A", "qty": 100, "price": 100, "long_rate": 0.10}], use_conc=False)
    assert (penny["margin_method"], penny["margin_savings"]) == ("REG_T", -500)


def test_str_003_a_names_fall_stops_at_its_whole_value() -> None:
    row = row_of([{"symbol": "A", "qty": 100, "price": 10, "beta": 20}], cash=-500)
    assert row["stress"][0]["delta_pnl"] == -1000
    assert row["stress"][0]["unsecured"] == 500


def test_str_004_the_largest_position_moves_against_the_account() -> None:
    row = row_of(
        [{"symbol": "A", "qty": 10, "price": 100}, {"symbol": "S", "qty": -50, "price": 100}], cash=10_000
    )
    assert (
        row["idiosyncratic"]["symbol"],
        row["idiosyncratic"]["move"],
        row["idiosyncratic"]["delta_pnl"],
    ) == ("S", 0.30, -1500)


def test_str_002_a_portfolio_margin_account_is_recomputed_by_its_own_method() -> None:
    positions = [
        {"symbol": "A", "qty": 2000, "price": 100, "beta": 1.5},
        {"symbol": "B", "qty": 1000, "price": 100, "beta": 1.0},
    ]
    row = row_of(positions, cash=-100_000, kind="PORTFOLIO")
    eight_down = row["stress"][0]
    shocked = 0.15 * (200_000 * 0.88 + 100_000 * 0.92)
    assert eight_down["excess_recomputed"] == pytest.approx(200_000 - 24_000 - 8000 - shocked)


def test_frm_002_the_accounts_that_cause_the_firms_loss_are_named_with_their_part_of_it() -> None:
    """Equities 800 and 1,400 against a fall of 1,600 each;
    what the third account has makes up for neither.
    """
    held = {"A": -19_200, "B": -18_600, "C": 50_000}
    accounts = [
        {"account_id": a, "cash": cash, "positions": [{"symbol": "X", "qty": 200, "price": 100}]}
        for a, cash in held.items()
    ]
    firm = evaluation(parse({"accounts": accounts, "scenarios": [-0.08, 0.06]}))["firm"]
    assert [row["firm_loss"] for row in firm["stress"]] == [1000.0, 0.0]
    assert firm["top_contributors"] == [
        {"account_id": "A", "amount": 800.0},
        {"account_id": "B", "amount": 200.0},
    ]


@pytest.mark.parametrize(
    ("excess", "status"), [(5000.0, "ACTIVE"), (4999.99, "WARNING"), (0.0, "WARNING"), (-0.01, "MARGIN_CALL")]
)
def test_sta_001_sta_002_status_turns_on_the_cent(excess: float, status: str) -> None:
    positions = [{"symbol": s, "qty": 100, "price": 250} for s in "ABCD"]
    assert row_of(positions, cash=-75_000 + excess)["status"] == status


def test_pol_001_a_bad_number_names_itself_and_an_override_changes_the_version() -> None:
    with pytest.raises(PolicyError, match="long_rate: .*value '25%'"):
        current_policy().override({"long_rate": "25%"})
    with pytest.raises(PolicyError, match="policy.long_rat: unknown policy field"):
        current_policy().override({"long_rat": 0.25})
    assert current_policy().override({"long_rate": 0.3}).version != current_policy().version


def test_imd_002_a_price_fall_alone_creates_no_deficit() -> None:
    found = intraday_deficit([-1500.0], [8000.0], [False], current_policy().intraday)
    assert (found.deficit, found.day_low) == (0.0, -1500.0)


def test_mnt_006_a_box_in_part_is_margined_on_both_parts() -> None:
    """Long 150, short 100 at 100: 5% of the boxed 10,000 and 25% of the free 5,000."""
    row = row_of(
        [{"symbol": "X", "qty": 150, "price": 100}, {"symbol": "X", "qty": -100, "price": 100, "sigma": 0.2}],
        use_conc=False,
    )
    assert row["maintenance_req"] == 500 + 1250
