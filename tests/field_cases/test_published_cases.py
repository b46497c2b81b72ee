"""The twenty-one published field cases: what was said to be right, by hand, is what the product comes to.

Every case once, at the command or the engine it was reported on. The other members of each kind are in the
files beside this one.
"""

from __future__ import annotations

import datetime as dt
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record, TopicRecreated
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.trading_time.sessions import session_close, sessions_between
from margin_platform.volatility.engine import VolatilityEngine
from sensors.topic_ticks.topic_cursor import Cursor
from tests.support.both_ways import lines, live, records_of, symbols_of
from tests.support.field_cases import HERE
from tests.support.splits import ny, price, split
from tests.support.topics import a_topic


def ran(*words: str, code: int = 0) -> dict[str, Any]:
    """What a command with --json printed; of a refused one what it said under "said"."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == code, done.output
    if code:
        return {"said": done.stderr.splitlines()}
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


def evaluated(book: dict[str, Any], tmp_path: Path, *, code: int = 0) -> dict[str, Any]:
    (tmp_path / "book.json").write_text(json.dumps(book))
    return ran("evaluate", str(tmp_path / "book.json"), code=code)


def book_of(case: str) -> dict[str, Any]:
    book: dict[str, Any] = json.loads((HERE / case / "book.json").read_text())
    return book


def backtested(case: str, prices: str, tmp_path: Path, *, book: str = "book.json", code: int = 0) -> Any:
    files = ["--prices", str(HERE / case / prices), "--book", str(HERE / case / book)]
    return ran("backtest", *files, "--out", str(tmp_path / "out"), code=code)


class Stood:
    """The engine after the rows of a case, one batch a line, and its dead letters by field."""

    def __init__(self, name: str) -> None:
        rows = lines(HERE / name)
        instruments = [Instrument(symbol=symbol) for symbol in sorted(symbols_of(rows)) or ["AAA"]]
        self.engine = MarginEngine(instruments, current_policy())
        self.letters: list[Event] = []
        for number, record in enumerate(records_of(rows)):
            self.letters += self.engine.process([record], number).dead

    def shares(self, account: str = "A") -> dict[str, float]:
        return self.engine.ledger.positions(account)

    def figures(self, *names: str, account: str = "A") -> list[Any]:
        event = self.engine.account_now(account)
        return [event[name] for name in names]

    def refused(self) -> list[tuple[str, str]]:
        return [(letter["topic"], letter["field"]) for letter in self.letters]


def test_01_a_side_is_refused_and_the_short_by_hand_is_the_kernels(tmp_path: Path) -> None:
    book = book_of("01-side-ignored")
    said = evaluated(book, tmp_path, code=2)["said"]
    assert "accounts[0].positions[0].side" in said[0]
    # 15,000 - 100 x 100 = 5,000; max(5, 0.30 x 100) x 100 = 3,000 and 10% of 10,000 = 1,000
    short = {"symbol": "TSLA", "qty": -100, "price": 100}
    (figures,) = evaluated(
        {"accounts": [{"account_id": "S", "cash": 15_000, "positions": [short]}]}, tmp_path
    )["accounts"]
    assert [figures[n] for n in ("equity", "requirement", "excess")] == [5_000.0, 4_000.0, 1_000.0]


def test_03_percent_is_refused_by_name_in_a_book_and_on_a_topic(tmp_path: Path) -> None:
    accounts = book_of("03-percent-for-fraction")["accounts"]
    for n, field, value in ((0, "sigma", "25"), (2, "long_rate", "3")):
        (said,) = evaluated({"accounts": [accounts[n]]}, tmp_path, code=2)["said"]
        assert f"accounts[0].positions[0].{field}: " in said
        assert said.endswith(f"value {value}")
    (figures,) = evaluated({"accounts": [accounts[1]]}, tmp_path)["accounts"]
    assert [figures["requirement"], figures["excess"]] == [3_500.0, 1_500.0]  # 2,500 and 1,000
    stood = Stood("03-percent-for-fraction/events.jsonl")
    assert stood.refused() == [("volatility.v1", "volatility_annual"), ("betas.v1", "beta")]
    assert stood.figures("cash", "requirement", "excess") == [-8_000.0, 3_500.0, -1_500.0]


@pytest.mark.parametrize(
    ("prices", "last_close"),
    [
        ("yahoo.csv", None),
        ("long_ohlcv.csv", 184.30),
        ("yfinance_2025.csv", 183.50),
        ("lower_case.csv", None),
    ],
)
def test_04_bars_are_read_or_the_message_names_the_columns(
    prices: str, last_close: float | None, tmp_path: Path
) -> None:
    if last_close is None:
        said = "\n".join(backtested("04-ohlcv-files", prices, tmp_path, code=2)["said"])
        assert ("Open, High, Low, Close" in said) if prices == "yahoo.csv" else ("aapl" in said)
        return
    report = backtested("04-ohlcv-files", prices, tmp_path)
    (account,) = report["policies"][0]["worst_accounts"]
    assert account["final_equity"] == pytest.approx(100 * last_close - 5_000)


@pytest.mark.parametrize("ratio", [9, 10, 12, 30, 40, 100, 225])
def test_06_a_reverse_split_of_any_ratio_is_no_gain(ratio: int, tmp_path: Path) -> None:
    name = f"reverse_1_for_{ratio}.csv"
    said = backtested("split-ratio-not-listed", name, tmp_path, book="short_book.json", code=2)["said"]
    assert any("row 8, column MULN: " in line and "shaped like a split" in line for line in said)


@pytest.mark.parametrize(
    "name", ["forward_9_for_1", "forward_12_for_1", "forward_30_for_1", "pence_for_pounds"]
)
def test_06_a_forward_split_of_any_ratio_and_pence_are_no_losses(name: str, tmp_path: Path) -> None:
    book = "long_book.json" if name.startswith("forward") else "short_book.json"
    said = backtested("split-ratio-not-listed", f"{name}.csv", tmp_path, book=book, code=2)["said"]
    assert any("column MULN: " in line and "shaped like a split" in line for line in said)


@pytest.mark.parametrize(
    ("name", "shares", "equity"),
    [
        ("events", 100.0, 10_050.0),  # 10 x 10 at 100.50
        ("moved_date", 100.0, 10_000.0),  # the later date: 100 at 100
        ("after_ex_date", 100.0, 10_050.0),
    ],
)
def test_08_the_later_terms_hold(name: str, shares: float, equity: float) -> None:
    stood = Stood(f"corrected-corporate-action/{name}.jsonl")
    assert stood.shares() == {"AAA": shares}
    assert stood.figures("equity", "stale_symbols") == [equity, []]


@pytest.mark.parametrize("name", ["a_dividend_z_split", "a_split_z_dividend"])
def test_10_the_same_facts_give_the_same_cash(name: str) -> None:
    stood = Stood(f"split-and-dividend-one-day/{name}.jsonl")
    # 100 x 1.00 on the shares held before, 200 after it at 49.50
    assert (stood.shares(), *stood.figures("cash", "equity")) == ({"AAA": 200.0}, 100.0, 10_000.0)


@pytest.mark.parametrize(
    ("name", "equity", "requirement"), [("events", 2_000.0, 2_450.0), ("a_year_ahead", 4_000.0, 5_600.0)]
)
def test_12_a_fast_clock_freezes_no_price_and_ages_none(name: str, equity: float, requirement: float) -> None:
    stood = Stood(f"12-fast-producer-clock/{name}.jsonl")
    figures = stood.figures("equity", "requirement", "excess", "stale_symbols")
    assert figures == [equity, requirement, equity - requirement, []]


@pytest.mark.parametrize(
    ("name", "topics"), [("events", {"fills.v1"}), ("dividend", {"fills.v1"}), ("prices", {"prices.v1"})]
)
def test_14_epoch_seconds_are_refused_by_name(name: str, topics: set[str]) -> None:
    stood = Stood(f"14-epoch-seconds-on-topics/{name}.jsonl")
    assert set(stood.refused()) == {(topic, "timestamp") for topic in topics}
    if name != "prices":  # neither 1,000 shares nor a dividend for a buyer of the ex-date
        assert (stood.shares(), *stood.figures("cash")) == ({}, 100_000.0)


def test_15_a_null_closes_no_account() -> None:
    stood = Stood("15-account-tombstone/running.jsonl")
    assert stood.refused() == [(ACCOUNTS, "value")]
    assert (stood.shares(), *stood.figures("equity")) == ({"AAA": 10.0}, 5_000.0)
    # what an earlier version's compaction took is named; docs/limits.md has the way back
    assert Stood("15-account-tombstone/rebuilt_after_compaction.jsonl").refused() == [(ACCOUNTS, "value")]


def test_17_cash_and_shares_move_together() -> None:
    stood = Stood("17-below-the-finest-share/events.jsonl")
    assert stood.figures("cash", "equity") == [5_000.0, 5_000.0]
    assert set(stood.refused()) == {(FILLS, "qty")}
    assert len(stood.letters) == 1_000
    assert Stood("17-below-the-finest-share/thirds.jsonl").shares() == {}


@pytest.mark.parametrize(
    ("ratio", "opening", "sold"), [("1/10", 702.0, 7), ("1/100", 7_020.0, 1), ("10", 7.02, 667)]
)
def test_18_an_order_counts_in_the_shares_of_its_own_day(
    ratio: str, opening: float, sold: int, tmp_path: Path
) -> None:
    """Debit 6,200, opening worth 7,020: 1,637 short of 35%. 1,637 / (0.35 x 702) is 6.7 shares, of 7,020
    less than one, of 7.02 are 667.
    """
    t = ny(4, 15)
    shared = {"account_id": "A", "timestamp": t - 9}
    told = [
        (ACCOUNTS, shared | {"margin_type": "REG_T"}),
        (CASH, shared | {"transfer_id": "c", "amount": 3_800.0}),
        (FILLS, shared | {"fill_id": "f", "symbol": "AAA", "qty": 100.0, "price": 100.0}),
        price(100.0, t - 6),
        split(Fraction(ratio), t - 5),
        price(70.0, t),
        price(70.0, ny(4, 16, 5)),
        *(price(opening, ny(5, 9, 30 + minute)) for minute in (0, 5)),
    ]
    rows = [{"topic": topic, "event": event} for topic, event in told]
    came = live(records_of(rows), [Instrument(symbol="AAA")], tmp_path)
    left = float(100 * Fraction(ratio) - sold)
    assert came.accounts["A"]["positions"] == ({"AAA": left} if left else {})
    assert [(qty, at >= ny(5, 9, 30)) for at, _, _, qty, _ in came.sales] == [(-float(sold), True)]


def test_19_nothing_trades_on_a_weekend(tmp_path: Path) -> None:
    said = backtested("19-bars-on-closed-days", "weekend.csv", tmp_path, code=2)["said"]
    assert "row 6, column timestamp: no session of the exchange: Saturday, value '2024-01-06'" in said[0]


def test_20_there_is_no_buying_power_in_a_call() -> None:
    accounts = ran("evaluate", str(HERE / "20-buying-power-in-a-call" / "book.json"))["accounts"]
    assert [a["buying_power"] for a in accounts] == [0.0] * 5
    assert {a["status"] for a in accounts} == {"MARGIN_CALL"}
    (penny,) = [a for a in accounts if a["account_id"] == "PENNY_SHORT"]
    # at least 2.50 a share below 5: 2.50 x 2,000
    assert (penny["equity"], penny["base_requirement"]) == (4_000.0, 5_000.0)


def test_21_an_evening_print_is_no_close() -> None:
    engine, offset, out = VolatilityEngine(current_policy()), 0, list[Event]()
    for n, day in enumerate(sessions_between(dt.date(2024, 1, 2), dt.date(2024, 3, 1))):
        close = int(session_close(day).timestamp() * 1000)
        evening = [(close + 7_200_000, 130.0)] if n == 35 else []
        for at, paid in [
            (close - 60_000, 100.0),
            (close, 100.0),
            *evening,
            (close + 10_800_000, 97.0 + n % 2),
        ]:
            event = {"symbol": "AAA", "price": paid, "timestamp": at}
            out += engine.process([Record(PRICES, 0, offset, None, encode(event), at)])
            offset += 1
    assert (out[-1]["volatility_annual"], out[-1]["tier"]) == (0.0, 0)


def test_23_one_customer_is_one_account(tmp_path: Path) -> None:
    stood = Stood("23-invisible-characters-in-ids/events.jsonl")
    assert stood.engine.ledger.account_ids() == ["ACC-1001"]
    assert {field for _, field in stood.refused()} == {"account_id"}
    assert stood.figures("equity", account="ACC-1001") == [6_000.0]
    said = evaluated(book_of("23-invisible-characters-in-ids"), tmp_path, code=2)["said"]
    assert "accounts[1].account_id: " in said[0]


def test_24_a_key_given_twice_is_refused() -> None:
    stood = Stood("24-duplicate-json-key-on-a-topic/events.jsonl")
    assert [(letter["field"], letter["reason"]) for letter in stood.letters] == [
        ("qty", "given twice in one object")
    ]
    assert stood.shares() == {}


def test_25_a_rebate_is_booked() -> None:
    stood = Stood("25-fee-that-is-a-rebate/events.jsonl")
    assert (stood.shares(), *stood.figures("cash")) == ({"AAA": -100.0}, 30_000.23)


def test_26_a_market_row_completes_the_figures_of_a_position() -> None:
    book = str(HERE / "26-whatif-price-hidden-by-market-row" / "book.json")
    after = ran("whatif", "A", "--trade", "NVDA:1", "--book", book)["after"]
    assert (after["long_mv"], after["equity"]) == (4_900.0, 9_000.0)


def test_27_a_name_that_stops_trading_is_one_line(tmp_path: Path) -> None:
    said = backtested("delisted-mid-file", "delisted.csv", tmp_path, code=2)["said"]
    (line,) = [line for line in said if "no price" in line]
    assert "column SIVB: no price from row 48 (2023-03-10) to the end, 204 rows" in line


def test_28_a_cent_is_a_call_unless_the_policy_has_a_floor(tmp_path: Path) -> None:
    book = book_of("28-one-cent-debit")
    for floor, status in ((0, "MARGIN_CALL"), (1, "ACTIVE")):
        accounts = evaluated(book | {"policy": {"small_deficiency": floor}}, tmp_path)["accounts"]
        assert {a["status"] for a in accounts} == {status}
    assert Stood("28-one-cent-debit/events.jsonl").figures("cash", "excess") == [-0.01, -0.01]


@pytest.mark.parametrize("end", [3, 8])
def test_29_a_topic_made_anew_is_known_by_its_id_however_long_it_is(end: int) -> None:
    with pytest.raises(TopicRecreated):
        Cursor({0: 5}, "old").opened(a_topic("new", end), "margin.status.v1")
