"""Price files: every flaw is named by row and column, and passes only where the policy lets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from margin_platform.backtest.history.flaws import HistoryError
from margin_platform.backtest.history.repair import settle
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.policy.policy import current_policy
from tests.support.price_files import LONG, WIDE, backtested, read_file, refused_flaws, settled_file


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("0", "zero"),
        ("-3", "negative"),
        ("n/a", "not a number"),
        ("inf", "not a finite number"),
        ("NaN", "not a finite number"),
    ],
)
def test_a_bad_price_is_named_by_row_and_column(tmp_path: Path, cell: str, reason: str) -> None:
    (flaw,) = refused_flaws(tmp_path, WIDE.replace("21", cell))
    assert (flaw.kind, flaw.row, flaw.column, flaw.value, flaw.reason) == (
        "bad_price",
        "row 3",
        "BBB",
        cell,
        reason,
    )


def test_a_bad_price_of_a_long_file_is_named_by_its_line(tmp_path: Path) -> None:
    (flaw,) = refused_flaws(tmp_path, LONG.replace("AAA,11", "AAA,0"))
    assert (flaw.kind, flaw.row, flaw.column, flaw.value) == ("bad_price", "row 4", "price", "0")


def test_a_missing_session_is_named_with_the_row_before_it(tmp_path: Path) -> None:
    (flaw,) = refused_flaws(tmp_path, WIDE.replace("2020-03-03,11,21\n", ""))
    assert (flaw.kind, flaw.row, flaw.column, flaw.value) == (
        "missing_date",
        "after row 2",
        "timestamp",
        "2020-03-03",
    )


FLAWED = [  # what is wrong, the file, and the place and value the program names
    (
        "missing date",
        WIDE.replace("2020-03-03,11,21\n", ""),
        "after row 2, column timestamp: a session without a row, value '2020-03-03'",
    ),
    ("hole", WIDE.replace("21", ""), "row 3, column BBB: no price"),
    ("zero", WIDE.replace("21", "0"), "row 3, column BBB: zero, value '0'"),
    ("negative", WIDE.replace("21", "-21"), "row 3, column BBB: negative, value '-21'"),
    ("not a number", WIDE.replace("21", "x"), "row 3, column BBB: not a number, value 'x'"),
    (
        "duplicate",
        WIDE + "2020-03-03,11,21\n",
        "row 5, column timestamp: already in row 3, value '2020-03-03",
    ),
    (
        "no history",
        WIDE.replace("BBB", "CCC"),
        "-, column BBB: symbol of the book has no price in the file (it has AAA, CCC), value 'BBB'",
    ),
    (
        "split",
        WIDE.replace("11,21", "5,21").replace("12,22", "5,22"),
        "row 3, column AAA: 2020-03-03: 1/2 of the price before",
    ),
    (
        "a date that is none",
        WIDE.replace("2020-03-03", "3 March"),
        "row 3, column timestamp: not a date or time (epoch times are in ",
    ),
    (
        "epoch seconds",
        WIDE.replace("2020-03-03", "1583251200"),
        "(epoch times are in milliseconds), value '1583251200'",
    ),
    (
        "a time beyond all",
        WIDE.replace("2020-03-03", "9" * 30),
        "row 3, column timestamp: not a date or time",
    ),
    (
        "before the calendar",
        WIDE.replace("2020-03-03", "1962-03-05"),
        "row 3, column timestamp: not between 1970-01-02 and ",
    ),
    ("a column twice", WIDE.replace("BBB", "AAA"), "row 1, column AAA: a column given twice, value 'AAA'"),
]


@pytest.mark.parametrize(
    ("text", "named"), [(t, n) for _, t, n in FLAWED], ids=[name for name, _, _ in FLAWED]
)
def test_margin_backtest_ends_with_2_and_names_row_and_column(tmp_path: Path, text: str, named: str) -> None:
    done = backtested(tmp_path, text, "AAA", "BBB")
    assert done.exit_code == 2, done.stderr
    assert named in done.stderr
    assert not (tmp_path / "out").exists()


def test_weekends_and_holidays_are_no_missing_dates(tmp_path: Path) -> None:
    text = "timestamp,AAA,BBB\n2020-07-02,1,1\n2020-07-06,1,1\n"  # Friday 3 July: closed for the fourth
    assert len(settled_file(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (WIDE.replace("21", ""), ("row 3", "BBB")),
        (LONG.replace("2020-03-03,BBB,21\n", ""), ("after row 4", "BBB")),
    ],
)
def test_a_hole_is_named_by_row_and_column(tmp_path: Path, text: str, place: tuple[str, str]) -> None:
    (flaw,) = refused_flaws(tmp_path, text)
    assert (flaw.kind, flaw.row, flaw.column) == ("hole", *place)


def test_a_duplicate_timestamp_is_named_with_the_row_it_repeats(tmp_path: Path) -> None:
    (flaw,) = refused_flaws(tmp_path, WIDE + "2020-03-03,11.5,21.5\n")
    assert (flaw.kind, flaw.row, flaw.reason) == ("duplicate", "row 5", "already in row 3")
    (flaw,) = refused_flaws(tmp_path, LONG + "2020-03-03,BBB,21.5\n")
    assert (flaw.kind, flaw.row, flaw.value) == ("duplicate", "row 6", "2020-03-03 BBB")


def test_a_held_symbol_without_history_is_named(tmp_path: Path) -> None:
    (flaw,) = refused_flaws(tmp_path, WIDE, held=("AAA", "ZZZ"))
    assert (flaw.kind, flaw.column) == ("no_history", "ZZZ")


def test_flaws_of_symbols_nobody_holds_stop_nothing(tmp_path: Path) -> None:
    assert len(settled_file(tmp_path, WIDE.replace("21", "-1"), held=("AAA",))) == 3


def test_a_jump_shaped_like_a_split_is_named_and_so_is_a_crash_which_may_be_kept(tmp_path: Path) -> None:
    (flaw,) = refused_flaws(tmp_path, WIDE.replace("11,21", "5.01,21").replace("12,22", "5,22"))
    assert (flaw.kind, flaw.row, flaw.column) == ("split_shape", "row 3", "AAA")
    assert "1/2" in flaw.reason
    crash = WIDE.replace("11,21", "4.82,21").replace("12,22", "5,22")  # AAPL's -51.8%
    (flaw,) = refused_flaws(tmp_path, crash)
    assert (flaw.kind, flaw.reason) == (
        "jump",
        "2020-03-03: -51.8% from the price before, beyond max_jump 0.35",
    )
    kept = settled_file(tmp_path, crash, current_policy().override({"on_jump": "keep"}))
    assert [f.kind for f in kept.flaws] == ["jump"]


def test_a_history_from_before_the_live_calendar_is_of_its_own_sessions(tmp_path: Path) -> None:
    """The crash of 1987; Saturdays and Sundays are no holes."""
    text = "date,AAA\n1987-10-16,100\n1987-10-19,80\n1987-10-21,88\n"
    (flaw,) = refused_flaws(tmp_path, text, held=("AAA",))
    assert (flaw.kind, flaw.value) == ("missing_date", "1987-10-20")


def test_a_known_split_explains_its_jump(tmp_path: Path) -> None:
    found, flaws = read_file(tmp_path, WIDE.replace("11,21", "5,21").replace("12,22", "5,22"))
    settled = settle(found, flaws, current_policy(), ("AAA",), [_split("AAA", "2020-03-03", 2)])
    assert settled.flaws == ()


@pytest.mark.parametrize(("ex_date", "ratio"), [("2020-03-03", 3), ("2020-03-04", 2)])
def test_a_split_of_another_ratio_or_day_explains_no_jump(tmp_path: Path, ex_date: str, ratio: int) -> None:
    found, flaws = read_file(tmp_path, WIDE.replace("11,21", "5,21").replace("12,22", "5,22"))
    with pytest.raises(HistoryError):
        settle(found, flaws, current_policy(), ("AAA",), [_split("AAA", ex_date, ratio)])


def _split(symbol: str, ex_date: str, ratio: int) -> CorporateAction:
    event = {
        "action_id": "s",
        "symbol": symbol,
        "kind": "SPLIT",
        "ratio": ratio,
        "ex_date": ex_date,
        "timestamp": 1,
    }
    return CorporateAction.of(event)


def test_the_policy_may_let_each_flaw_pass(tmp_path: Path) -> None:
    policy = current_policy().override(
        {
            "on_hole": "stale",
            "on_bad_price": "stale",
            "on_missing_date": "skip",
            "on_duplicate": "last",
            "on_no_history": "stale",
            "on_split_shape": "adjust",
        }
    )
    text = (
        "timestamp,AAA,BBB\n2020-03-02,10,20\n2020-03-04,5,\n2020-03-05,5,x\n2020-03-05,6,-1\n"
        "2020-03-06,6,21\n"
    )
    settled = settled_file(tmp_path, text, policy, held=("AAA", "BBB", "ZZZ"))
    assert sorted({f.kind for f in settled.flaws}) == [
        "bad_price",
        "duplicate",
        "hole",
        "missing_date",
        "no_history",
        "split_shape",
    ]
    # the first close on the later share basis; the later duplicate counts
    assert settled.prices[:, 0].tolist() == [5, 5, 6, 6]
    assert settled.prices[:, 1].tolist() == [20, 20, 20, 21]  # carried, and marked
    assert settled.stale[:, 1].tolist() == [False, True, True, False]
