"""Price files of every form read the same; times, rows and the bundled sample are recognized."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from margin_platform.backtest.history import price_files, sample_market
from margin_platform.backtest.history.flaws import HistoryError
from margin_platform.backtest.history.repair import settle
from margin_platform.backtest.history.sample_recognition import is_sample
from margin_platform.backtest.runs import sample_history
from margin_platform.policy.policy import current_policy
from tests.support.price_files import LONG, WIDE, read_file, refused_flaws


def test_wide_and_long_files_read_the_same(tmp_path: Path) -> None:
    wide, _ = read_file(tmp_path, "\n".join(WIDE.splitlines()[:3]))
    long, _ = read_file(tmp_path, LONG)
    assert wide.symbols == long.symbols == ("AAA", "BBB")
    assert wide.times.tolist() == long.times.tolist()
    assert wide.prices.tolist() == long.prices.tolist() == [[10, 20], [11, 21]]


def test_a_date_is_its_close_in_new_york_whatever_the_season(tmp_path: Path) -> None:
    read, _ = read_file(tmp_path, "date,A\n2020-01-02,1\n2020-07-02,1\n")
    hours = [dt.datetime.fromtimestamp(t / 1000, dt.UTC).hour for t in read.times.tolist()]
    assert hours == [21, 20]


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    frame = pd.DataFrame({"AAA": [10.0, 11.0]}, index=pd.DatetimeIndex(["2020-03-02", "2020-03-03"]))
    frame.to_parquet(tmp_path / "prices.parquet")
    read, flaws = price_files.read(tmp_path / "prices.parquet")
    assert (read.symbols, read.prices.tolist(), flaws) == (("AAA",), [[10.0], [11.0]], [])
    assert read.times[0] == sample_market.close_time(dt.date(2020, 3, 2))


def test_intraday_bars_keep_their_times(tmp_path: Path) -> None:
    read, _ = read_file(
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
    read, _ = read_file(tmp_path, f"timestamp,A\n{time.format(2)},1\n{time.format(3)},1\n")
    assert read.times.tolist() == [sample_market.close_time(dt.date(2020, 3, day)) for day in (2, 3)]


def test_a_midnight_among_times_of_day_is_a_time(tmp_path: Path) -> None:
    read, _ = read_file(tmp_path, "timestamp,A\n2020-03-03T00:00:00Z,1\n2020-03-03T15:00:00Z,1\n")
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
    (flaw,) = refused_flaws(tmp_path, WIDE.replace("2020-03-03,11,21", "\n\n2020-03-03,11,x") + "\n")
    assert flaw.row == "row 5"


def test_a_file_without_a_time_column_or_rows_is_refused(tmp_path: Path) -> None:
    for text in ("AAA,BBB\n1,2\n", "timestamp,AAA\n"):
        with pytest.raises(HistoryError):
            read_file(tmp_path, text)


def test_the_sample_is_recognised_in_other_clothes_and_other_prices_are_not(tmp_path: Path) -> None:
    table = sample_market.closes().loc["2020-03-02":"2020-03-10", ["AAPL", "PG"]]
    table.to_csv(tmp_path / "mine.csv", index_label="date")
    read, flaws = price_files.read(tmp_path / "mine.csv")
    assert flaws == []
    assert is_sample(read)
    (table * 1.5).to_csv(tmp_path / "mine.csv", index_label="date")
    assert not is_sample(price_files.read(tmp_path / "mine.csv")[0])


def test_the_sample_has_no_flaw_but_the_jumps_that_look_like_a_split() -> None:
    """Real moves, all four: live they are held until the source confirms them, and in the sample kept."""
    sample = sample_history()
    with pytest.raises(HistoryError) as caught:
        settle(sample, [], current_policy(), sample.symbols)
    named = {(f.kind, f.column, f.reason[:10]) for f in caught.value.flaws}
    assert {name for name in named if name[0] != "jump"} == {
        ("split_shape", "RRC", "1990-04-10"),
        ("split_shape", "AMD", "2016-04-22"),
        ("split_shape", "BBY", "1991-12-19"),
        ("split_shape", "AMD", "2002-10-03"),
    }
    assert np.isfinite(sample.prices).all()
