"""Every field case that is recorded events, live and replayed:
the same decisions, sales, positions, cash and figures to the cent.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from margin_platform.backtest.history import price_files
from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    Event,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.money import cents
from margin_platform.policy.policy import current_policy
from margin_platform.trading_time.sessions import close_ms, sessions_between
from margin_platform.volatility.engine import VolatilityEngine
from tests.support.amended_actions import AMENDED, ANNOUNCED, FALLS, MONDAY, at, opening, printed, said
from tests.support.both_ways import Came, filed, lines, live, records_of, replayed
from tests.support.field_cases import HERE
from tests.support.real_actions import REAL, action, held, moment
from tests.support.real_actions import printed as print_of
from tests.support.splits import RATIOS, ny
from tests.support.splits import price as tick
from tests.support.splits import split as split_of

# Cases that one path alone can meet, and why; what each must come to is in test_published_cases.py.
ONE_PATH = {
    "26-whatif-price-hidden-by-market-row": (
        "a what-if books nothing: one evaluation of a document by the kernel that both paths share"
    ),
    "29-topic-made-anew-and-filled-past-the-cursor": (
        "a cursor belongs to a sensor that follows a topic; a replay reads the topic from its beginning"
    ),
}
BOTH_WAYS = {  # the test below that holds the case
    "01-side-ignored": "test_a_fill_with_a_side",
    "03-percent-for-fraction": "test_a_recorded_case",
    "04-ohlcv-files": "test_bars_of_a_vendor",
    "06-split-ratio-not-listed": "test_a_price_file_across_a_split_that_is_not_announced",
    "08-corrected-corporate-action": "test_a_recorded_case",
    "10-split-and-dividend-one-day": "test_a_recorded_case",
    "12-fast-producer-clock": "test_a_recorded_case",
    "14-epoch-seconds-on-topics": "test_a_recorded_case",
    "15-account-tombstone": "test_a_recorded_case",
    "17-below-the-finest-share": "test_a_recorded_case",
    "18-open-order-across-a-split": "test_a_liquidation_across_a_split",
    "19-bars-on-closed-days": "test_prints_of_closed_days",
    "20-buying-power-in-a-call": "test_a_book_as_events",
    "21-after-hours-print-as-close": "test_evening_prints",
    "23-invisible-characters-in-ids": "test_a_recorded_case",
    "24-duplicate-json-key-on-a-topic": "test_a_recorded_case",
    "25-fee-that-is-a-rebate": "test_a_recorded_case",
    "27-delisted-mid-file": "test_a_name_that_stops_trading",
    "28-one-cent-debit": "test_a_book_as_events",
}
FILES = sorted(str(path.relative_to(HERE)) for path in HERE.glob("*/*.jsonl"))
NEW = "NEW"


def compared(rows: Iterable[Event], place: Path) -> Came:
    """What both ways come to, which is the same."""
    told = list(rows)
    named = {
        row["event"][name]
        for row in told
        if "event" in row
        for name in ("symbol", "new_symbol")
        if row["event"].get(name)
    }
    instruments = [Instrument(symbol=symbol) for symbol in sorted(named) or ["AAA"]]
    records = records_of(told)
    ours, theirs = live(records, instruments, place), replayed(records, instruments)
    # without an account or a good price there is nothing to replay, and live nothing is enforced
    if not theirs.accounts:
        assert {figures["status"] for figures in ours.accounts.values() if figures["positions"]} <= {"STALE"}
        return ours
    assert theirs.decisions == ours.decisions
    assert theirs.sales == ours.sales
    assert theirs.accounts == ours.accounts
    return ours


def test_every_published_case_is_held_both_ways_or_says_why_not() -> None:
    assert len(FILES) >= 18
    assert len(BOTH_WAYS) + len(ONE_PATH) == 21
    assert set(BOTH_WAYS.values()) <= set(globals())
    assert all(len(why.split()) > 8 for why in ONE_PATH.values())


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_case(name: str, tmp_path: Path) -> None:
    compared(lines(HERE / name), tmp_path)


@pytest.mark.parametrize("side", ["SELL", "short", "BUY", "SELL_SHORT", "buy to cover", ""])
@pytest.mark.parametrize("qty", [100.0, -100.0])
def test_a_fill_with_a_side(side: str, qty: float, tmp_path: Path) -> None:
    """Case 01 on a topic: a side that contradicts the sign is refused in both paths, and one that agrees is
    read in both; never a long where a short is meant.
    """
    book = {"account_id": "A", "cash": 15_000.0, "positions": []}
    rows = of_book({"accounts": [book]}, close_ms(dt.date(2024, 1, 9)))
    at = rows[0]["event"]["timestamp"]
    fill = {"fill_id": "f", "account_id": "A", "symbol": "TSLA", "qty": qty, "price": 100.0, "timestamp": at}
    rows += [{"topic": FILLS, "event": fill | {"side": side}}, print_of("TSLA", 100.0, at)]
    came = compared(rows, tmp_path)
    assert came.accounts["A"]["positions"].get("TSLA", qty) == qty


@pytest.mark.parametrize("name", ["long_ohlcv.csv", "yfinance_2025.csv"])
def test_bars_of_a_vendor(name: str, tmp_path: Path) -> None:
    """Case 04: the file read as bars, and its closes as prints."""
    cash, shares = -5_000.0, 100.0
    came = compared(of_file(f"04-ohlcv-files/{name}", "AAPL", shares, cash), tmp_path)
    held = {"account_id": "A", "cash": cash, "positions": [{"symbol": "AAPL", "qty": shares}]}
    assert filed(HERE / "04-ohlcv-files" / name, {"accounts": [held]}, ()) == came


def test_evening_prints(tmp_path: Path) -> None:
    """Case 21: closes of 100 and evenings 3% off, for an account that a volatility add-on would call."""
    rows, volatility = list[Event](), VolatilityEngine(current_policy())
    lines_of_file = ["timestamp,AAA"]
    for n, day in enumerate(sessions_between(dt.date(2024, 1, 2), dt.date(2024, 3, 1))):
        close = close_ms(day)
        for time, price in ((close, 100.0), (close + 10_800_000, 103.0 if n % 2 else 97.0)):
            event = {"symbol": "AAA", "price": price, "timestamp": time}
            rows.append({"topic": PRICES, "event": event})
            lines_of_file.append(f"{dt.datetime.fromtimestamp(time / 1000, dt.UTC).isoformat()},{price}")
            made = volatility.process([Record(PRICES, 0, len(rows), None, encode(event), time)])
            rows += [{"topic": VOLATILITY, "event": figure} for figure in made]
    position = {"symbol": "AAA", "qty": 100.0, "price": 100.0}
    held = {"account_id": "A", "cash": -5_800.0, "positions": [position]}
    opening = of_book({"accounts": [held]}, rows[0]["event"]["timestamp"] - 1)
    came = compared([*opening, *rows], tmp_path)
    assert came.accounts["A"]["requirement"] == cents(0.35 * 100 * rows[-1]["event"]["price"])
    (tmp_path / "prices.csv").write_text("\n".join(lines_of_file))
    file = filed(tmp_path / "prices.csv", {"accounts": [held | {"positions": [position]}]}, ())
    assert (file.decisions, file.sales, file.accounts) == (came.decisions, came.sales, came.accounts)


@pytest.mark.parametrize("name", AMENDED)
def test_an_amended_action(name: str, tmp_path: Path) -> None:
    told, shares, price = AMENDED[name]
    came = compared([*opening(), *told, *MONDAY, printed(price, at(10, 9, 40))], tmp_path)
    assert came.accounts["A"]["positions"] == {"AAA": shares}


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("name", REAL)
def test_a_merger_a_spin_off_a_new_symbol_and_a_delisting(name: str, side: int, tmp_path: Path) -> None:
    kind, day, price, terms, new_price, _, _ = REAL[name]
    rows = [
        *held(side * 100.0, price, day),
        action(kind, day, **terms),
        print_of("OTHER", 1.0, moment(day, 11)),
    ]
    rows += [] if new_price is None else [print_of(NEW, new_price, moment(day, 12))]
    compared(rows, tmp_path)


@pytest.mark.parametrize("name", list(FALLS)[::3])
def test_a_fall_that_a_payout_explains(name: str, tmp_path: Path) -> None:
    before, kind, terms, after = FALLS[name]
    prints = [printed(after * (1 + n / 1000), at(10, 9, 31 + n)) for n in range(2)]
    told = said("p", kind, ANNOUNCED + 2, **terms)
    came = compared([*opening(before, 100.0), printed(33.0, at(10, 9, 29), "BBB"), told, *prints], tmp_path)
    assert came.accounts["A"]["status"] == "ACTIVE"


@pytest.mark.parametrize("known", ["ahead", "in the morning"])
@pytest.mark.parametrize("ratio", RATIOS[::2], ids=str)
def test_a_liquidation_across_a_split(ratio: Any, known: str, tmp_path: Path) -> None:
    t = ny(4, 15)
    shared = {"account_id": "A", "timestamp": t - 9}
    told = [
        (ACCOUNTS, shared | {"margin_type": "REG_T"}),
        (CASH, shared | {"transfer_id": "c", "amount": 3_800.0}),
        (FILLS, shared | {"fill_id": "f", "symbol": "AAA", "qty": 100.0, "price": 100.0}),
        tick(100.0, t - 6),
        *([split_of(ratio, t - 5)] if known == "ahead" else []),
        tick(70.0, t),
        tick(58.0, ny(4, 16, 5)),
        *([split_of(ratio, ny(5, 8))] if known != "ahead" else []),
        *(tick(58.0 / float(ratio), ny(5, hour, minute)) for hour in (10, 11) for minute in (0, 20, 40)),
    ]
    came = compared([{"topic": topic, "event": event} for topic, event in told], tmp_path)
    assert came.accounts["A"]["positions"].get("AAA", 0.0) < 1.0
    assert came.sales


def of_book(book: dict[str, Any], t: int) -> list[Event]:
    """A book of `margin evaluate` as events:
    accounts, cash with what the positions cost, fills and prices.
    """
    rows = []
    for account in book["accounts"]:
        name, positions = account["account_id"], account.get("positions", [])
        shared = {"account_id": name, "timestamp": t}
        cost = sum(cents(p["qty"] * p["price"]) for p in positions)
        rows.append(
            {"topic": ACCOUNTS, "event": shared | {"margin_type": account.get("margin_type", "REG_T")}}
        )
        rows.append(
            {"topic": CASH, "event": shared | {"transfer_id": f"c {name}", "amount": account["cash"] + cost}}
        )
        for n, p in enumerate(positions):
            fill = {"fill_id": f"{name} {n}", "symbol": p["symbol"], "qty": p["qty"], "price": p["price"]}
            rows.append({"topic": FILLS, "event": shared | fill})
            rows.append(
                {"topic": PRICES, "event": {"symbol": p["symbol"], "price": p["price"], "timestamp": t}}
            )
    return rows


def of_file(name: str, symbol: str, shares: float, cash: float) -> list[Event]:
    """A price file as prints at the closes of its days, its account's shares bought at the first."""
    history, _ = price_files.read(HERE / name)
    column = history.symbols.index(symbol)
    prices = [
        (time, float(row[column])) for time, row in zip(history.times.tolist(), history.prices, strict=True)
    ]
    prints = [
        {"topic": PRICES, "event": {"symbol": symbol, "price": p, "timestamp": t}}
        for t, p in prices
        if p == p
    ]
    t, first = prices[0]
    positions = [{"symbol": symbol, "qty": shares, "price": first}]
    return [
        *of_book({"accounts": [{"account_id": "A", "cash": cash, "positions": positions}]}, t - 1),
        *prints,
    ]


@pytest.mark.parametrize("name", ["20-buying-power-in-a-call", "28-one-cent-debit"])
def test_a_book_as_events(name: str, tmp_path: Path) -> None:
    book = json.loads((HERE / name / "book.json").read_text())
    for account in book["accounts"]:
        rows = of_book({"accounts": [account]}, close_ms(dt.date(2024, 1, 9)))
        (tmp_path / account["account_id"]).mkdir()
        compared(rows, tmp_path / account["account_id"])


SPLIT_FILES = sorted(path.name for path in (HERE / "split-ratio-not-listed").glob("*.csv"))


@pytest.mark.parametrize("name", SPLIT_FILES)
def test_a_price_file_across_a_split_that_is_not_announced(name: str, tmp_path: Path) -> None:
    shares, cash = (100.0, 1_000.0) if name.startswith("forward") else (-5_000.0, 30_000.0)
    if name.startswith("pence"):
        cash = 100_000.0  # a short of 5,000 at 5.00 needs 25,000 and more: with 30,000 the call is a real one
    rows = of_file(f"split-ratio-not-listed/{name}", "MULN", shares, cash)
    came = compared(rows, tmp_path)
    assert "CALL" not in [kind for _, _, kind, _ in came.decisions]


def test_prints_of_closed_days(tmp_path: Path) -> None:
    came = compared(of_file("19-bars-on-closed-days/weekend.csv", "AAPL", 100.0, -6_200.0), tmp_path)
    assert came.sales == []


def test_a_name_that_stops_trading(tmp_path: Path) -> None:
    rows = of_file("delisted-mid-file/delisted.csv", "SIVB", 10.0, 2_000.0)
    last = rows[-1]["event"]["timestamp"]
    ended = {
        "action_id": "d",
        "symbol": "SIVB",
        "kind": "DELISTING",
        "ex_date": "2023-03-10",
        "amount": 0.0,
        "timestamp": last + 1,
    }
    rows += [{"topic": CORPORATE_ACTIONS, "event": ended}, print_of("OTHER", 1.0, moment("2023-03-10", 11))]
    assert compared(rows, tmp_path).accounts["A"]["positions"] == {}
