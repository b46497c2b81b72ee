"""Price files as vendors make them: the close is read, or the message names the columns found and what to
rename.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from margin_platform.backtest.history.flaws import HistoryError
from margin_platform.backtest.history.price_files import read
from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.cli import app
from tests.support.price_files import backtested

CASE = Path(__file__).parent / "04-ohlcv-files"
CLOSES = {"AAPL": [185.6, 184.3], "MSFT": [370.9, 370.6], "BRK-B": [362.0, 361.5]}
DAYS = ["2024-01-02", "2024-01-03"]


def _read(folder: Path, text: str) -> PriceHistory:
    (folder / "prices.csv").write_text(text)
    found, flaws = read(folder / "prices.csv")
    assert flaws == []
    return found


def _backtest(prices: Path, out: Path) -> Result:
    return CliRunner().invoke(
        app,
        ["backtest", "--prices", str(prices), "--book", str(CASE / "book.json"), "--out", str(out), "--json"],
    )


def _closes(found: PriceHistory) -> dict[str, list[float]]:
    assert [str(day) for day in found.dates()] == DAYS
    assert {dt.datetime.fromtimestamp(t / 1000, dt.UTC).hour for t in found.times.tolist()} == {21}
    return dict(zip(found.symbols, found.prices.T.tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("date,symbol,close,price\n2024-01-02,AAPL,185.6,184.9", "price and close are each a price"),
        ("date,symbol,Price,CLOSE\n2024-01-02,AAPL,185.6,184.9", "Price and CLOSE are each a price"),
        (",Date,AAPL\n0,2024-01-02,185.6\n1,2024-01-03,184.3", "column 1 has no name"),
        ("Unnamed: 0,Date,AAPL\n0,2024-01-02,185.6", "column 1 has no name"),
        ("Date,AAPL,\n2024-01-02,185.6,\n2024-01-03,184.3,", "column 3 has no name"),
        ("Date,,MSFT\n2024-01-02,185.6,370\n2024-01-03,184.3,371", "column 2 has no name"),
    ],
)
def test_a_column_that_may_be_two_things_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HistoryError) as refused:
        _read(tmp_path, text)
    assert said in str(refused.value)
    assert "the file has " in str(refused.value)


@pytest.mark.parametrize("name", ["long_ohlcv.csv", "yfinance_2025.csv"])
def test_a_field_file_that_names_its_symbol_is_read(tmp_path: Path, name: str) -> None:
    done = _backtest(CASE / name, tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    closes = {"long_ohlcv.csv": [185.60, 184.30], "yfinance_2025.csv": [184.90, 183.50]}
    assert read(CASE / name)[0].prices.T.tolist() == [closes[name]]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "yahoo.csv",
            (
                "row 1, column symbol: bars of an unnamed symbol: add a column symbol, or keep only the "
                "times and Close, renamed to the symbol; the file has Date, Open, High, Low, Close, Adj "
                "Close, Volume"
            ),
        ),
        (
            "lower_case.csv",
            (
                "column AAPL: symbol of the book has no price in the file (did you mean aapl? Rename it in "
                "the file or in the book), value 'AAPL'"
            ),
        ),
    ],
)
def test_a_field_file_that_does_not_is_refused_with_what_to_rename(
    tmp_path: Path, name: str, said: str
) -> None:
    done = _backtest(CASE / name, tmp_path / "out")
    assert done.exit_code == 2
    assert said in done.stderr


READ = {  # two days of AAPL, alone or with others, as each vendor writes them
    "Alpaca": (
        "symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
        "AAPL,2024-01-02 05:00:00+00:00,187.1,188.5,183.9,185.6,8,1,186\n"
        "AAPL,2024-01-03 05:00:00+00:00,184,186,183,184.3,8,1,184\n"
    ),
    "Alpaca, raw": "S,t,o,h,l,c,v,n,vw\nAAPL,2024-01-02T05:00:00Z,187,188,183,185.6,8,1,2\n"
    "AAPL,2024-01-03T05:00:00Z,184,186,183,184.3,8,1,2\n",
    "Polygon flat file": (
        "ticker,volume,open,close,high,low,window_start,transactions\n"
        "AAPL,82000000,187.1,185.6,188.5,183.9,1704171600000000000,9\n"
        "AAPL,58000000,184,184.3,186,183,1704258000000000000,9\n"
    ),
    "Stooq": "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
    "AAPL,D,20240102,000000,187,188,183,185.6,8,0\nAAPL,D,20240103,000000,184,186,183,184.3,8,0\n",
    "Kaggle": (
        "date,open,high,low,close,volume,Name\n2024-01-02,187,188,183,185.6,8,AAPL\n"
        "2024-01-03,184,186,183,184.3,8,AAPL\n"
    ),
    "upper case": (
        "DATE,TICKER,OPEN,HIGH,LOW,CLOSE\n2024-01-02,AAPL,187,188,183,185.6\n"
        "2024-01-03,AAPL,184,186,183,184.3\n"
    ),
    "yfinance, 2024": (
        "Price,Adj Close,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,,\n"
        "2024-01-02,184.9,185.6,188,183,187,8\n2024-01-03,183.6,184.3,186,183,184,8\n"
    ),
    "yfinance, 2020": ",Adj Close,Adj Close,Close,Close\n,AAPL,MSFT,AAPL,MSFT\nDate,,,,\n"
    "2024-01-02,184.9,369,185.6,370.9\n2024-01-03,183.6,369,184.3,370.6\n",
    "yfinance by ticker": "Ticker,AAPL,AAPL,MSFT,MSFT\nPrice,Open,Close,Open,Close\nDate,,,,\n"
    "2024-01-02,187,185.6,373,370.9\n2024-01-03,184,184.3,369,370.6\n",
    "yfinance, closes": "Ticker,AAPL,BRK-B\nDate,,\n2024-01-02,185.6,362\n2024-01-03,184.3,361.5\n",
    "pandas, two levels": (
        ",Close,Close,Volume,Volume\n,AAPL,BRK-B,AAPL,BRK-B\n2024-01-02,185.6,362,8,8\n"
        "2024-01-03,184.3,361.5,8,8\n"
    ),
    "spreadsheet, two levels": (
        ",Close,,Volume,\n,AAPL,BRK-B,AAPL,BRK-B\n2024-01-02,185.6,362,8,8\n2024-01-03,184.3,361.5,8,8\n"
    ),
    "pandas, no name": ",AAPL,MSFT\n2024-01-02,185.6,370.9\n2024-01-03,184.3,370.6\n",
    "quantmod": "Date,AAPL.Open,AAPL.High,AAPL.Low,AAPL.Close,AAPL.Volume,AAPL.Adjusted\n"
    "2024-01-02,187,188,183,185.6,8,184.9\n2024-01-03,184,186,183,184.3,8,183.6\n",
    "joined names": (
        "Date,Close_AAPL,Close_BRK-B,Open_AAPL,Open_BRK-B\n2024-01-02,185.6,362,187,360\n"
        "2024-01-03,184.3,361.5,184,361\n"
    ),
    "date and time": (
        "date,time,symbol,close\n2024-01-02,16:00:00,AAPL,185.6\n2024-01-03,16:00:00,AAPL,184.3\n"
    ),
    "microseconds": "timestamp,symbol,close\n1704229200000000,AAPL,185.6\n1704315600000000,AAPL,184.3\n",
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_a_file_that_names_its_symbols_is_read_at_the_close(tmp_path: Path, text: str) -> None:
    found = _closes(_read(tmp_path, text))
    assert found == {symbol: CLOSES[symbol] for symbol in found}
    assert "AAPL" in found


REFUSED = {  # and the column that the message says to rename, or the columns it found
    "Yahoo": ("Date,Open,High,Low,Close,Adj Close,Volume\n2024-01-02,1,1,1,1,1,1\n", "Close"),
    "Stooq, one symbol": ("Date,Open,High,Low,Close,Volume\n2024-01-02,1,1,1,1,1\n", "Close"),
    "small letters": ("timestamp,open,high,low,close,volume\n2024-01-02,1,1,1,1,1\n", "close"),
    "capital letters": ("DATE,OPEN,HIGH,LOW,CLOSE\n2024-01-02,1,1,1,1\n", "CLOSE"),
    "Nasdaq": ("Date,Close/Last,Volume,Open,High,Low\n2024-01-02,1,1,1,1,1\n", "Close/Last"),
    "Alpaca, raw": ("t,o,h,l,c,v,n,vw\n2024-01-02T05:00:00Z,1,1,1,1,1,1,1\n", "c"),
    "yfinance history": (
        "Date,Open,High,Low,Close,Volume,Dividends,Stock Splits\n2024-01-02,1,1,1,1,1,0,0\n",
        "Close",
    ),
    "a close alone": ("Date,Close\n2024-01-02,1\n", "Close"),
    "a price alone": ("Date,Price\n2024-01-02,1\n", "Price"),
    "an adjusted close alone": ("Date,Adj Close\n2024-01-02,1\n", "Adj Close"),
    "a low alone": ("Date,Low\n2024-01-02,1\n", "Low"),
    "open and low": ("Date,Open,Low\n2024-01-02,1,1\n", "Open, Low"),
    "no close": ("Date,Open,High,Low\n2024-01-02,1,1,1\n", "Open, High, Low"),
    "bars and a symbol": ("Date,AAPL,Volume\n2024-01-02,1,1\n", "AAPL, Volume"),
    "long without a price": ("timestamp,symbol,bid,ask\n2024-01-02,AAPL,1,1\n", "bid, ask"),
    "long, adjusted only": ("timestamp,symbol,adj_close\n2024-01-02,AAPL,1\n", "adj_close"),
    "two levels without a close": (
        "Price,Open,High\nTicker,AAPL,AAPL\nDate,,\n2024-01-02,1,1\n",
        "AAPL open",
    ),
    "semicolons": ("Date;Open;High;Low;Close\n2024-01-02;1;1;1;1\n", "Date;Open;High;Low;Close"),
    "Polish": ("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie\n2024-01-02,1,1,1,1\n", "Zamkniecie"),
}


@pytest.mark.parametrize(("text", "named"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_does_not_say_whose_prices_it_has_is_refused_with_its_columns(
    tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "prices.csv").write_text(text)
    with pytest.raises(HistoryError) as caught:
        read(tmp_path / "prices.csv")
    (flaw,) = caught.value.flaws
    assert flaw.row == "row 1"
    assert named in str(flaw)
    backtest = ["backtest", "--book", str(CASE / "book.json"), "--out", str(tmp_path / "out")]
    for command in (backtest, ["replay", "--bootstrap", "127.0.0.1:1"]):
        done = CliRunner().invoke(app, [*command, "--prices", str(tmp_path / "prices.csv")])
        assert done.exit_code == 2
        assert named in done.stderr


@pytest.mark.parametrize(
    "names",
    ["LOW", "OPEN", "LOW,OPEN", "AAPL,LOW,OPEN", "O,H,L,C,V", "C,T,V", "OPEN,HIGH", "S,T", "LOW,KEY,ALL,ON"],
)
def test_symbols_that_are_words_are_symbols(tmp_path: Path, names: str) -> None:
    found = _read(
        tmp_path,
        (
            f"Date,{names}\n2024-01-02{',10' * len(names.split(','))}\n"
            f"2024-01-03{',11' * len(names.split(','))}\n"
        ),
    )
    assert found.symbols == tuple(names.split(","))


WRITTEN = ["BRK-B", "BRK.B", "BRK/B", "BRK B", "BRK_B", "BRKB", "brk-b", "brk.b", "BRK-B.US"]


@pytest.mark.parametrize("shape", ["Date,{}\n2024-01-02,362\n", "date,symbol,close\n2024-01-02,{},362\n"])
@pytest.mark.parametrize("held", ["BRK-B", "BRK.B", "BRK/B"])
@pytest.mark.parametrize("written", WRITTEN)
def test_a_share_class_written_otherwise_is_offered(
    tmp_path: Path, written: str, held: str, shape: str
) -> None:
    done = backtested(tmp_path, shape.format(written), held)
    if written == held:
        assert done.exit_code == 0, done.stderr
    else:
        assert done.exit_code == 2
        assert f"(did you mean {written}? Rename it" in done.stderr


def test_bars_as_parquet_are_read(tmp_path: Path) -> None:
    """As `yfinance` (two levels of columns) and Alpaca (symbol and time as index) keep them."""
    frames = {
        "yfinance": pd.DataFrame(
            [[185.6, 1, 370.9], [184.3, 1, 370.6]],
            index=pd.DatetimeIndex(DAYS, name="Date"),
            columns=pd.MultiIndex.from_tuples(
                [("Close", "AAPL"), ("Volume", "AAPL"), ("Close", "MSFT")], names=["Price", "Ticker"]
            ),
        ),
        "alpaca": pd.DataFrame(
            {"open": [187.0, 184.0], "close": [185.6, 184.3]},
            index=pd.MultiIndex.from_tuples(
                [("AAPL", pd.Timestamp(day)) for day in DAYS], names=["symbol", "timestamp"]
            ),
        ),
    }
    for name, frame in frames.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
        found = _closes(read(tmp_path / f"{name}.parquet")[0])
        assert found == {symbol: CLOSES[symbol] for symbol in found}
        assert "AAPL" in found
