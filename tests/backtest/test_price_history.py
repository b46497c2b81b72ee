"""Price files: every flaw is named by row and column, and passes only where the policy lets it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from margin_platform.backtest.history import price_files, sample_market
from margin_platform.backtest.history.flaws import Flaw, HistoryError
from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.backtest.history.repair import settle
from margin_platform.backtest.history.sample_recognition import is_sample
from margin_platform.backtest.runs import sample_history
from margin_platform.cli import app
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.policy.policy import Policy, current_policy

WIDE = "timestamp,AAA,BBB\n2020-03-02,10,20\n2020-03-03,11,21\n2020-03-04,12,22\n"
LONG = "timestamp,symbol,price\n2020-03-02,AAA,10\n2020-03-02,BBB,20\n2020-03-03,AAA,11\n2020-03-03,BBB,21\n"


def _read(folder: Path, text: str, name: str = "prices.csv") -> tuple[PriceHistory, list[Flaw]]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return price_files.read(path)


def _settle(
    folder: Path, text: str, policy: Policy | None = None, held: tuple[str, ...] = ("AAA", "BBB")
) -> PriceHistory:
    found, flaws = _read(folder, text)
    return settle(found, flaws, policy or current_policy(), held)


def _refused(folder: Path, text: str, held: tuple[str, ...] = ("AAA", "BBB")) -> list[Flaw]:
    with pytest.raises(HistoryError) as caught:
        _settle(folder, text, held=held)
    return list(caught.value.flaws)


def test_wide_and_long_files_read_the_same(tmp_path: Path) -> None:
    wide, _ = _read(tmp_path, "\n".join(WIDE.splitlines()[:3]))
    long, _ = _read(tmp_path, LONG)
    assert wide.symbols == long.symbols == ("AAA", "BBB")
    assert wide.times.tolist() == long.times.tolist()
    assert wide.prices.tolist() == long.prices.tolist() == [[10, 20], [11, 21]]


def test_a_date_is_its_close_in_new_york_whatever_the_season(tmp_path: Path) -> None:
    read, _ = _read(tmp_path, "date,A\n2020-01-02,1\n2020-07-02,1\n")
    hours = [dt.datetime.fromtimestamp(t / 1000, dt.UTC).hour for t in read.times.tolist()]
    assert hours == [21, 20]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"AAA": [10.0, 11.0]}, index=pd.DatetimeIndex(["2020-03-02", "2020-03-03"]))
    frame.to_parquet(tmp_path / "prices.parquet")
    read, flaws = price_files.read(tmp_path / "prices.parquet")
    assert (read.symbols, read.prices.tolist(), flaws) == (("AAA",), [[10.0], [11.0]], [])
    assert read.times[0] == sample_market.close_time(dt.date(2020, 3, 2))


def test_intraday_bars_keep_their_times(tmp_path: Path) -> None:
    read, _ = _read(
        tmp_path, "timestamp,A\n2020-03-02T10:00:00-05:00,1\n2020-03-02 10:05:00,1\n1583161800000,1\n"
    )
    assert [dt.datetime.fromtimestamp(t / 1000, dt.UTC).strftime("%H:%M") for t in read.times.tolist()] == [
        "15:00",
        "15:05",
        "15:10",
    ]


@pytest.mark.parametrize(
    "time", ["2020-03-0{} 00:00:00", "2020-03-0{} 00:00:00-05:00", "2020-03-0{}T00:00:00Z"]
)
def test_a_file_of_midnights_is_a_file_of_days(tmp_path: Path, time: str) -> None:
    """Midnight UTC is the evening before in New York: the day meant is the one written."""
    read, _ = _read(tmp_path, f"timestamp,A\n{time.format(2)},1\n{time.format(3)},1\n")
    assert read.times.tolist() == [sample_market.close_time(dt.date(2020, 3, day)) for day in (2, 3)]


def test_a_midnight_among_times_of_day_is_a_time(tmp_path: Path) -> None:
    read, _ = _read(tmp_path, "timestamp,A\n2020-03-03T00:00:00Z,1\n2020-03-03T15:00:00Z,1\n")
    assert [dt.datetime.fromtimestamp(t / 1000, dt.UTC).hour for t in read.times.tolist()] == [0, 15]


def test_a_parquet_time_that_is_missing_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"date": pd.to_datetime(["2020-03-02", None, "2020-03-04"]), "AAA": [1.0, 2.0, 3.0]})
    frame.to_parquet(tmp_path / "prices.parquet")
    read, flaws = price_files.read(tmp_path / "prices.parquet")
    assert [str(f) for f in flaws] == [
        "row 3, column date: not a date or time (epoch times are in milliseconds)"
    ]
    assert read.prices.tolist() == [[1.0], [3.0]]


def test_rows_are_counted_as_an_editor_counts_them_blank_ones_included(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, WIDE.replace("2020-03-03,11,21", "\n\n2020-03-03,11,x") + "\n")
    assert flaw.row == "row 5"


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
    (flaw,) = _refused(tmp_path, WIDE.replace("21", cell))
    assert (flaw.kind, flaw.row, flaw.column, flaw.value, flaw.reason) == (
        "bad_price",
        "row 3",
        "BBB",
        cell,
        reason,
    )


def test_a_bad_price_of_a_long_file_is_named_by_its_line(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, LONG.replace("AAA,11", "AAA,0"))
    assert (flaw.kind, flaw.row, flaw.column, flaw.value) == ("bad_price", "row 4", "price", "0")


def test_a_missing_session_is_named_with_the_row_before_it(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, WIDE.replace("2020-03-03,11,21\n", ""))
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
    (tmp_path / "prices.csv").write_text(text, encoding="utf-8")
    rows = [{"symbol": symbol, "qty": 10} for symbol in ("AAA", "BBB")]
    (tmp_path / "book.json").write_text(
        json.dumps({"accounts": [{"account_id": "A", "cash": 0, "positions": rows}]}), encoding="utf-8"
    )
    places = [
        "--prices",
        str(tmp_path / "prices.csv"),
        "--book",
        str(tmp_path / "book.json"),
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(app, ["backtest", *places, "--json"])
    assert done.exit_code == 2, done.stderr
    assert named in done.stderr
    assert not (tmp_path / "out").exists()


def test_weekends_and_holidays_are_no_missing_dates(tmp_path: Path) -> None:
    text = "timestamp,AAA,BBB\n2020-07-02,1,1\n2020-07-06,1,1\n"  # Friday 3 July: closed for the fourth
    assert len(_settle(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (WIDE.replace("21", ""), ("row 3", "BBB")),
        (LONG.replace("2020-03-03,BBB,21\n", ""), ("after row 4", "BBB")),
    ],
)
def test_a_hole_is_named_by_row_and_column(tmp_path: Path, text: str, place: tuple[str, str]) -> None:
    (flaw,) = _refused(tmp_path, text)
    assert (flaw.kind, flaw.row, flaw.column) == ("hole", *place)


def test_a_duplicate_timestamp_is_named_with_the_row_it_repeats(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, WIDE + "2020-03-03,11.5,21.5\n")
    assert (flaw.kind, flaw.row, flaw.reason) == ("duplicate", "row 5", "already in row 3")
    (flaw,) = _refused(tmp_path, LONG + "2020-03-03,BBB,21.5\n")
    assert (flaw.kind, flaw.row, flaw.value) == ("duplicate", "row 6", "2020-03-03 BBB")


def test_a_held_symbol_without_history_is_named(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, WIDE, held=("AAA", "ZZZ"))
    assert (flaw.kind, flaw.column) == ("no_history", "ZZZ")


def test_flaws_of_symbols_nobody_holds_stop_nothing(tmp_path: Path) -> None:
    assert len(_settle(tmp_path, WIDE.replace("21", "-1"), held=("AAA",))) == 3


def test_a_jump_shaped_like_a_split_is_named_and_so_is_a_crash_which_may_be_kept(tmp_path: Path) -> None:
    (flaw,) = _refused(tmp_path, WIDE.replace("11,21", "5.01,21").replace("12,22", "5,22"))
    assert (flaw.kind, flaw.row, flaw.column) == ("split_shape", "row 3", "AAA")
    assert "1/2" in flaw.reason
    crash = WIDE.replace("11,21", "4.82,21").replace("12,22", "5,22")  # AAPL's -51.8%
    (flaw,) = _refused(tmp_path, crash)
    assert (flaw.kind, flaw.reason) == (
        "jump",
        "2020-03-03: -51.8% from the price before, beyond max_jump 0.35",
    )
    kept = _settle(tmp_path, crash, current_policy().override({"on_jump": "keep"}))
    assert [f.kind for f in kept.flaws] == ["jump"]


def test_a_history_from_before_the_live_calendar_is_of_its_own_sessions(tmp_path: Path) -> None:
    """The crash of 1987; Saturdays and Sundays are no holes."""
    text = "date,AAA\n1987-10-16,100\n1987-10-19,80\n1987-10-21,88\n"
    (flaw,) = _refused(tmp_path, text, held=("AAA",))
    assert (flaw.kind, flaw.value) == ("missing_date", "1987-10-20")


def test_a_known_split_explains_its_jump(tmp_path: Path) -> None:
    found, flaws = _read(tmp_path, WIDE.replace("11,21", "5,21").replace("12,22", "5,22"))
    settled = settle(found, flaws, current_policy(), ("AAA",), [_split("AAA", "2020-03-03", 2)])
    assert settled.flaws == ()


@pytest.mark.parametrize(("ex_date", "ratio"), [("2020-03-03", 3), ("2020-03-04", 2)])
def test_a_split_of_another_ratio_or_day_explains_no_jump(tmp_path: Path, ex_date: str, ratio: int) -> None:
    found, flaws = _read(tmp_path, WIDE.replace("11,21", "5,21").replace("12,22", "5,22"))
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
    settled = _settle(tmp_path, text, policy, held=("AAA", "BBB", "ZZZ"))
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


def test_a_file_without_a_time_column_or_rows_is_refused(tmp_path: Path) -> None:
    for text in ("AAA,BBB\n1,2\n", "timestamp,AAA\n"):
        with pytest.raises(HistoryError):
            _read(tmp_path, text)


def test_the_sample_is_recognised_in_other_clothes_and_other_prices_are_not(tmp_path: Path) -> None:
    table = sample_market.closes().loc["2020-03-02":"2020-03-10", ["AAPL", "PG"]]
    table.to_csv(tmp_path / "mine.csv", index_label="date")
    read, flaws = price_files.read(tmp_path / "mine.csv")
    assert flaws == []
    assert is_sample(read)
    (table * 1.5).to_csv(tmp_path / "mine.csv", index_label="date")
    assert not is_sample(price_files.read(tmp_path / "mine.csv")[0])


def test_the_sample_has_no_flaw_but_the_one_jump_that_looks_like_a_split() -> None:
    sample = sample_history()
    with pytest.raises(HistoryError) as caught:
        settle(sample, [], current_policy(), sample.symbols)
    named = {(f.kind, f.column, f.reason[:10]) for f in caught.value.flaws}
    assert {name for name in named if name[0] != "jump"} == {
        ("split_shape", "RRC", "1990-04-10"),
        ("split_shape", "AMD", "2016-04-22"),
    }
    assert np.isfinite(sample.prices).all()
