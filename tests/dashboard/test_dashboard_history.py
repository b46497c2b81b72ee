"""An account over time: from the margin stream's table to the chart, and the day's profit or loss."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from margin_platform.contracts.offsets import Record
from margin_platform.dashboard.account.history import MOST_POINTS, Openings, day_start, history, thinned
from margin_platform.dashboard.state.transfers import Transfers
from margin_platform.documents.book_input import InputError
from margin_platform.kafka.bus import Bus
from margin_platform.snapshots.outcome import Outcome
from margin_platform.trading_time.new_york import NEW_YORK
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS
from tests.support.page import FALL
from tests.support.table_rows import append


def at(text: str) -> int:
    """Epoch milliseconds of a New York time."""
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp() * 1000)


def row(moment: int, equity: float, requirement: float, account: str = "LEVERED-4") -> dict[str, Any]:
    figures = {"equity": equity, "requirement": requirement, "excess": equity - requirement}
    return {"account_id": account, "calc_timestamp": moment, **figures}


def written(folder: Path, batch: int, *rows: dict[str, Any]) -> None:
    append(folder, "margin_snapshots", MARGIN_SNAPSHOTS_COLUMNS, [one | {"batch_id": batch} for one in rows])


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table with two days of one account, and a figure of another."""
    folder = tmp_path / "tables"
    monkeypatch.setenv("MARGIN_TABLES", str(folder))
    earlier = [row(at("2020-03-06 16:00"), 900.0, 500.0), row(at("2020-03-11 15:59"), 1_000.0, 500.0)]
    today = [
        row(at("2020-03-12 09:30"), 950.0, 500.0),
        row(at("2020-03-12 09:30"), 777.0, 500.0, "OTHER"),
        row(at("2020-03-12 09:45"), 400.0, 500.0),
    ]
    for batch, rows in enumerate((earlier, today), 1):
        written(folder, batch, *rows)
    return folder


@pytest.mark.usefixtures("tables")
def test_a_day_begins_at_midnight_and_a_month_has_the_days_before_it() -> None:
    clock = at("2020-03-12 10:00")
    day, month = (history("LEVERED-4", span, clock)["points"] for span in ("day", "month"))
    assert [point[1:] for point in day] == [[950.0, 500.0, 450.0], [400.0, 500.0, -100.0]]
    assert [point[1] for point in month] == [900.0, 1_000.0, 950.0, 400.0]
    assert [point[1] for point in history("LEVERED-4", "day", at("2020-03-12 09:31"))["points"]] == [950.0]
    with pytest.raises(InputError, match="span: not one of day, month"):
        history("LEVERED-4", "year", clock)


@pytest.mark.usefixtures("tables")
def test_figures_written_again_by_a_replay_replace_those_of_the_same_time(tables: Path) -> None:
    written(tables, 3, row(at("2020-03-12 09:45"), 410.0, 500.0))
    assert [p[1] for p in history("LEVERED-4", "day", at("2020-03-12 10:00"))["points"]] == [950.0, 410.0]


def test_without_a_table_the_history_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGIN_TABLES", str(tmp_path))
    found = history("LEVERED-4", "day", at("2020-03-12 10:00"))
    assert (found["points"], found["why"]) == ([], "no table of margin figures yet")


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ("2020-03-12 09:00", "2020-03-12"),
        ("2020-03-14 12:00", "2020-03-13"),  # a Saturday
        ("2020-02-17 12:00", "2020-02-14"),  # Presidents' Day
    ],
)
def test_the_day_is_the_last_sessions(clock: str, day: str) -> None:
    assert day_start(at(clock)) == at(f"{day} 00:00")


def test_a_long_history_keeps_its_first_and_last_row() -> None:
    rows: list[list[float | None]] = [[n * 10, float(n)] for n in range(5_000)]
    shown = thinned(rows, 0, 50_000)
    assert MOST_POINTS * 0.9 < len(shown) <= MOST_POINTS + 1
    assert (shown[0], shown[-1]) == (rows[0], rows[-1])


@pytest.mark.usefixtures("tables")
def test_the_days_result_leaves_out_what_was_deposited() -> None:
    """700.00 of equity, 1,000.00 at yesterday's last figure, 250.00 came in today: a loss of 550.00."""
    transfers = Transfers()
    for name, moment, amount in (
        ("T-1", "2020-03-12 09:40", 250.0),
        ("T-1", "2020-03-12 09:40", 250.0),
        ("T-0", "2020-03-11 10:00", 99.0),
    ):
        said = {"account_id": "LEVERED-4", "transfer_id": name, "amount": amount, "timestamp": at(moment)}
        transfers.take([Record("cash.v1", 0, 0, None, json.dumps(said).encode(), at(moment))])

    def moved(after: int, upto: int) -> float:
        return transfers.between("LEVERED-4", after, upto)

    found = Openings().day("LEVERED-4", 700.0, at("2020-03-12 10:00"), moved)
    assert found is not None
    assert (found["opening_equity"], found["deposits"], found["pnl"]) == (1_000.0, 250.0, -550.0)
    assert Openings().day("NEW", 700.0, at("2020-03-12 10:00"), moved) is None
    transfers.forget(at("2020-05-01 10:00"))
    assert transfers.between("LEVERED-4", 0, at("2020-05-01 10:00")) == 0.0


def test_an_opening_that_is_not_there_yet_is_looked_for_again_after_some_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_TABLES", str(tmp_path))
    seconds = [0.0]
    openings, clock = Openings(lambda: seconds[0]), at("2020-03-12 10:00")
    assert openings.of("LEVERED-4", clock) is None
    written(tmp_path, 1, row(at("2020-03-11 15:59"), 1_000.0, 500.0))
    assert openings.of("LEVERED-4", clock) is None  # the page asks every second, and the table is not read
    seconds[0] = 11.0
    found = openings.of("LEVERED-4", clock)
    assert found is not None
    assert found.equity == 1_000.0


def dollars(amount: float) -> str:
    return f"{'−' if amount < 0 else ''}${abs(amount):,.2f}"


def saying(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))


@pytest.mark.kafka
@pytest.mark.browser
def test_the_account_page_shows_one_moment_and_the_way_to_it(
    bus: Bus, firm: Any, start: Any, tab: Page, tables: Path
) -> None:
    firm.publish(bus, firm.open())
    calc = {e["account_id"]: e for e in firm.publish(bus, firm.tick(**FALL)).calc}
    firm.ladder(bus)
    warned = {"account_id": "LEVERED-4", "action": "WARNING", "call_id": "W-1", "correlation_id": "EP-1"}
    earlier = {"timestamp": firm.clock - 60_000, "deficiency": 0.0, "due_at": None, "explanation": "Close."}
    bus.produce("margin.calls.v1", warned | earlier | {"causation_id": "CALC-0"})  # read last, to stand first
    firm.tick(AAPL=54.0)  # priced, and nothing of it is published yet
    firm.publish(bus, Outcome())
    server = start(MARGIN_TABLES=str(tables))
    tab.goto(f"{server.url}/#/account/LEVERED-4")
    head, equity = tab.locator(".account-head"), calc["LEVERED-4"]["equity"]
    box, positions = head.locator(".figure-box"), tab.locator("#account-positions tbody tr")
    # decided upon: the row, the positions and the prices are those that were published
    expect(box.filter(has_text="Equity").locator("b").first).to_have_text(dollars(equity))
    expect(head.locator(".note")).to_contain_text("All figures as of 2020-03-12 09:31:00 EDT")
    expect(positions.filter(has_text="AAPL")).to_contain_text("1,375,000.00")  # 25,000 at 55.00
    requirement = box.filter(has_text="Applied requirement").locator("b").inner_text()
    expect(tab.locator("#binding")).to_contain_text(f"applied requirement {requirement}")
    chart = tab.locator("#chart-history")
    expect(chart).to_have_attribute("aria-label", saying("first 2020-03-12 09:30:00 EDT: equity $950.00"))
    expect(chart).to_have_attribute("aria-label", saying("margin call 2020-03-12 09:31:00 EDT"))
    expect(chart.locator("canvas")).to_have_count(1)
    tab.get_by_role("button", name="Month").click()
    expect(chart).to_have_attribute("aria-label", saying("first 2020-03-06 16:00:00 EST: equity $900.00"))
    paid_in = -3_100_000.0 + 8_000 * 248.0 + 25_000 * 62.0  # at the opening, for the positions of the book
    day = box.filter(has_text="Day P&L").locator("b")
    expect(day).to_have_text(dollars(equity - 1_000.0 - paid_in))
    expect(tab.locator("#chart-tims")).to_have_attribute("aria-label", saying("binding point: −1.0×"))
    steps = tab.locator("#account-ladder .item .kind")  # oldest first
    decided = ["warning", "margin call", "close-only", "liquidate", "liquidation order"]
    expect(steps).to_have_text([*decided, "delivered", "failed"])
    for width in (1280, 1440, 1600):  # no amount is out of sight
        tab.set_viewport_size({"width": width, "height": 950})
        table = tab.locator("#account-positions .table-box")
        assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), width
    # never decided upon: the book and the prices of one later moment, in the head and in the table alike
    tab.goto(f"{server.url}/#/account/GREEN-1")
    now = calc["GREEN-1"]["equity"] - 200 * 1.0
    expect(box.filter(has_text="Equity").locator("b").first).to_have_text(dollars(now))
    expect(positions.filter(has_text="AAPL")).to_contain_text("10,800.00")  # 200 at 54.00
    line = head.locator(".note")
    expect(line).to_contain_text("All figures as of 2020-03-12 09:32:00 EDT")
    expect(line).to_contain_text(f"published 2020-03-12 09:31:00 EDT: equity {dollars(now + 200.0)}")
    expect(box.filter(has_text="Day P&L").locator("b")).to_have_text("–")
