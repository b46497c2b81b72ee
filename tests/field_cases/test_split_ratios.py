"""Any split ratio is recognised in a jump of the price, and a decimal is the fraction it rounds,
or refused.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from margin_platform.backtest.history import price_files
from margin_platform.backtest.history.flaws import HistoryError
from margin_platform.backtest.history.repair import settle
from margin_platform.cli import app
from margin_platform.contracts.action_terms import fraction, problem
from margin_platform.market.price_verdict import judge
from margin_platform.market.split_shape import split_terms
from margin_platform.policy.policy import current_policy
from tests.support.amended_actions import MONDAY, at, opening, printed, split
from tests.support.field_cases import HERE, fed, stands

PRICES = current_policy().prices
CASES = HERE / "split-ratio-not-listed"
FILES = sorted(path.name for path in CASES.glob("*.csv"))


@pytest.mark.parametrize("name", FILES)
def test_a_history_across_a_split_is_refused_by_row_and_column_whatever_its_ratio(
    name: str, tmp_path: Path
) -> None:
    """Short 5,000 at 0.20 owes 1,000 before and 5,000/30 x 6.00 = 1,000 after:
    nothing happened to the holders.
    """
    book = CASES / ("long_book.json" if name.startswith("forward") else "short_book.json")
    ran = CliRunner().invoke(
        app,
        ["backtest", "--prices", str(CASES / name), "--book", str(book), "--out", str(tmp_path), "--json"],
    )
    assert ran.exit_code == 2
    assert "row 8, column MULN: 2024-01-10: " in ran.output
    assert "of the price before, shaped like a split" in ran.output


def test_a_file_names_every_move_that_the_price_gate_sets_aside(tmp_path: Path) -> None:
    """Moves of 2% to a 300th and to 300 times, as one file of two days: held live is named in a history."""
    moves = [math.exp(k / 40) for k in range(-228, 229) if k]
    symbols = [f"S{n}" for n in range(len(moves))]
    rows = [["date", *symbols], ["2024-01-02", *["100"] * len(moves)], ["2024-01-03"]]
    rows[2] += [str(round(100 * move, 4)) for move in moves]
    (tmp_path / "prices.csv").write_text("\n".join(map(",".join, rows)))
    history, flaws = price_files.read(tmp_path / "prices.csv")
    with pytest.raises(HistoryError) as refused:
        settle(history, flaws, current_policy(), symbols)
    named = {flaw.column for flaw in refused.value.flaws}
    last = dict(zip(symbols, history.prices[1].tolist(), strict=True))
    event = {"symbol": "S", "timestamp": 1_790_000_000_000}
    aside = {s for s in symbols if judge(event | {"price": last[s]}, 100.0, None, PRICES).price is None}
    assert named == aside
    assert len(aside) > 300


RATIOS = [
    (n, 1) for n in (2, 3, 4, 7, 9, 11, 12, 13, 17, 19, 22, 30, 35, 40, 60, 75, 100, 150, 225, 250, 500, 1000)
]
RATIOS += [(3, 2), (5, 2), (7, 2), (9, 2), (11, 2), (5, 3)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("new", "old"), RATIOS)
def test_no_number_of_prints_confirms_a_jump_in_the_shape_of_a_split(
    new: int, old: int, *, reverse: bool
) -> None:
    """A split, or another unit: the price of before stands until an action or the source says otherwise."""
    after = 100.0 * (new / old if reverse else old / new)
    suspect = None
    for second, drift in enumerate((1.0, 1.003, 0.995, 1.03, 1.01, 0.96)):
        event = {"symbol": "X", "price": after * drift, "timestamp": 1_790_000_000_000 + second * 1000}
        verdict = judge(event, 100.0, suspect, PRICES)
        assert verdict.price is None, f"print {second} was used"
        suspect = verdict.suspect
    assert judge(event | {"confirmed": True}, 100.0, suspect, PRICES).price == event["price"]


@given(st.integers(2, 2000), st.sampled_from([1, 2]), st.booleans(), st.floats(0.001, 5000.0))
def test_any_ratio_of_small_whole_numbers_is_recognised(
    new: int, old: int, reverse: bool, price: float
) -> None:
    ratio = Fraction(new, old)
    if ratio < Fraction(3, 2):
        return
    after = price * float(ratio if reverse else 1 / ratio)
    terms = split_terms(price, after, PRICES.split_tolerance)
    assert terms is not None
    found = Fraction(*terms)
    assert float(found / (1 / ratio if reverse else ratio)) == pytest.approx(
        1.0, abs=PRICES.split_tolerance * 1.01
    )


MEANT = [
    (0.3333, (1, 3)),
    (0.333333, (1, 3)),
    (1 / 3, (1, 3)),
    (0.0333, (1, 30)),
    (0.03333333, (1, 30)),
    (0.6667, (2, 3)),
    (0.667, (2, 3)),
    (0.6666, (2, 3)),
    (0.1429, (1, 7)),
    (0.143, (1, 7)),
    (0.0667, (1, 15)),
    (0.00444, (1, 225)),
    (1.3333, (4, 3)),
    (2.3333, (7, 3)),
    (0.1, (1, 10)),
    (0.01, (1, 100)),
    (10, (10, 1)),
    (1.5, (3, 2)),
    (0.125, (1, 8)),
    (1.05, (21, 20)),
    (1.1, (11, 10)),
    (1.07, (107, 100)),
    (0.04, (1, 25)),
    (1.025, (41, 40)),
    (0.1667, (1, 6)),
    (0.1111, (1, 9)),
]


@pytest.mark.parametrize(("decimal", "terms"), MEANT)
def test_a_decimal_is_the_fraction_it_rounds(decimal: float, terms: tuple[int, int]) -> None:
    assert fraction(decimal) == Fraction(*terms)


@pytest.mark.parametrize("decimal", [0.33, 0.67, 0.07, 0.03, 1.33, 0.0044, 0.017, 0.123456789, 3.14159265])
def test_a_decimal_of_two_fractions_or_none_is_refused_with_what_to_give_instead(decimal: float) -> None:
    found = problem(split(decimal)["event"])
    assert found is not None
    assert found[:2] == ("ratio", decimal)
    assert found[2].endswith("give ratio_new and ratio_old")


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"ratio_new": 1}, "ratio_old"),
        ({"ratio_old": 3}, "ratio_new"),
        ({"ratio_new": 1, "ratio_old": 3, "ratio": 0.5}, "ratio"),
    ],
)
def test_a_fraction_is_whole_and_agrees_with_its_decimal(terms: dict[str, Any], field: str) -> None:
    event = {name: value for name, value in split(2)["event"].items() if name != "ratio"} | terms
    found = problem(event)
    assert found is not None
    assert found[0] == field


SMALL = [(4, 3), (5, 4), (6, 5), (7, 6), (8, 7), (11, 10), (21, 20), (107, 100)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("new", "old"), SMALL)
def test_a_split_of_less_than_seven_for_five_is_within_what_a_day_can_do(
    new: int, old: int, *, reverse: bool
) -> None:
    """A fall of 25% is acted upon at once: held for a split of 4 for 3, a crash would open no call."""
    price = 100.0 * (new / old if reverse else old / new)
    event = {"symbol": "X", "price": price, "timestamp": 1_790_000_000_000}
    assert judge(event, 100.0, None, PRICES).price == price


ONE_FOR_ONE: list[dict[str, Any]] = [
    {"ratio": 1},
    {"ratio": 1.0},
    *({"ratio_new": n, "ratio_old": n} for n in (1, 2, 3, 10, 100_000)),
    {"ratio": 1, "ratio_new": 7, "ratio_old": 7},
    {"ratio": 1, "post_price": 100.0},
]


@pytest.mark.parametrize("terms", ONE_FOR_ONE, ids=str)
def test_one_for_one_is_no_split_and_ends_no_hold(terms: dict[str, Any]) -> None:
    """It would cancel the symbol's orders, explain no price, and contradict the split of that day."""
    event = {name: value for name, value in split(2)["event"].items() if name != "ratio"} | terms
    found = problem(event)
    assert found is not None
    assert found[2] == "1 for 1 is no split: it changes nothing"
    rows = [*opening(), {"topic": "corporate_actions.v1", "event": event}, *MONDAY]
    feed = fed([*rows, printed(500.0, at(10, 9, 40)), printed(501.0, at(10, 9, 41))])
    assert stands(feed)["stale_symbols"] == ["AAA"]  # 1,000 to 500 waits for a split that is one
    for row in (split(2, at(10, 9, 42)), printed(502.0, at(10, 9, 43))):
        feed.say((row["topic"], row["event"]))
    assert (stands(feed)["positions"], stands(feed)["stale_symbols"]) == ({"AAA": 20.0}, [])


@pytest.mark.parametrize("kind", ["SPIN_OFF", "STOCK_MERGER"])
def test_one_for_one_into_another_symbol_is_an_exchange(kind: str) -> None:
    event = split(1)["event"] | {"kind": kind, "new_symbol": "BBB"}
    assert problem(event) is None


AMENDED_TO = [(2, 3), (3, 2), (2, 10), (10, 4), (4, 0.25), (0.1, 0.05), (3, 1.5), (5, 2), (20, 10)]


@pytest.mark.parametrize(("first", "then"), AMENDED_TO)
def test_terms_amended_while_a_price_of_the_day_is_in_doubt_value_at_no_price_that_was_never_printed(
    first: float, then: float
) -> None:
    """The first price is of the ex-date itself: it may be of either share, until the next print.

    33 with a split of 2 becomes 16.50 or stays. Amended to 3 it is 11 or stays, and never 16.50.
    """
    day = at(10, 10)
    feed = fed([*opening(33.0, 100.0), *MONDAY, printed(33.0, day), split(first, day + 1)])
    feed.say(*[(row["topic"], row["event"]) for row in (split(then, day + 2),)])
    assert (feed.price("AAA"), stands(feed)["stale_symbols"]) == (33.0, ["AAA"])
    after = printed(33.0 / then, day + 3)
    feed.say((after["topic"], after["event"]))
    assert (feed.price("AAA"), stands(feed)["stale_symbols"]) == (pytest.approx(33.0 / then), [])


@given(st.integers(2, 300), st.integers(1, 400), st.integers(6, 9))
def test_shares_of_a_reverse_split_come_out_whole(old: int, lots: int, places: int) -> None:
    """Whatever a source rounds 1/old to, either a multiple of `old` shares becomes whole shares or the
    ratio is refused.
    """
    try:
        ratio = fraction(round(1 / old, places))
    except ValueError:
        return
    assert lots * old * ratio == lots


@pytest.mark.parametrize(
    ("decimal", "shares"), [(0.3333, 100.0), (0.0333, 10.0), (0.1429, 42.857143), (0.6667, 200.0)]
)
def test_share_counts_follow_the_fraction(decimal: float, shares: float) -> None:
    feed = fed(
        [*opening(100.0, 300.0), split(decimal), *MONDAY, printed(100.0 * 300 / shares, at(10, 9, 40))]
    )
    assert stands(feed)["positions"] == {"AAA": shares}
