"""The command and its report: contract, exit codes, and the HTML in a real browser without any request to
the network.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.policy.policy import POLICY_FOLDER

DOCS = Path(__file__).parents[2] / "docs"
PRICES = "timestamp,symbol,price\n2020-03-02,AAA,100\n2020-03-03,AAA,85\n2020-03-04,AAA,90\n"
BOOK = {
    "accounts": [{"account_id": "A", "cash": -6500, "positions": [{"symbol": "AAA", "qty": 100}]}],
    "policy": {"use_conc": False, "use_vol": False},
}


def _invoke(folder: Path, prices: str = PRICES, book: Any = BOOK, *more: str) -> Any:
    (folder / "prices.csv").write_text(prices, encoding="utf-8")
    (folder / "book.json").write_text(json.dumps(book), encoding="utf-8")
    files = [
        "--prices",
        str(folder / "prices.csv"),
        "--book",
        str(folder / "book.json"),
        "--out",
        str(folder / "out"),
    ]
    return CliRunner().invoke(app, ["backtest", *files, "--json", *more])


def _second_policy(folder: Path) -> Path:
    data = yaml.safe_load(next(POLICY_FOLDER.glob("*.yaml")).read_text(encoding="utf-8"))
    data["version"], data["maintenance"]["long_rate"] = "stricter", 0.30
    path = folder / "stricter.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def test_the_output_has_the_counts_of_the_contract(tmp_path: Path) -> None:
    ran = _invoke(tmp_path)
    assert ran.exit_code == 0, ran.output
    (run,) = json.loads(ran.stdout)["policies"]
    counts = {
        k: run[k]
        for k in (
            "warnings",
            "margin_calls",
            "restrictions",
            "liquidations",
            "cured_calls",
            "loss_beyond_equity",
        )
    }
    assert counts == {
        "warnings": 1,
        "margin_calls": 1,
        "restrictions": 2,
        "liquidations": 0,
        "cured_calls": 1,
        "loss_beyond_equity": 0,
    }
    assert run["worst_dates"][0]["date"] == "2020-03-03"
    assert run["worst_accounts"][0]["account_id"] == "A"
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".html", ".json", ".csv"}


def test_two_policies_are_compared(tmp_path: Path) -> None:
    stricter = _second_policy(tmp_path)
    ran = _invoke(
        tmp_path, PRICES, BOOK, "--policy", str(next(POLICY_FOLDER.glob("*.yaml"))), "--policy", str(stricter)
    )
    (pair,) = json.loads(ran.stdout)["comparison"]
    assert pair["second"].startswith("stricter")
    assert pair["called_only_by_second"] == []
    assert json.loads(ran.stdout)["differences"] == [
        {"key": "maintenance.long_rate", pair["first"]: "0.25", pair["second"]: "0.3"}
    ]


def test_a_book_from_standard_input_is_put_to_every_policy(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES, encoding="utf-8")
    policies = [
        "--policy",
        str(next(POLICY_FOLDER.glob("*.yaml"))),
        "--policy",
        str(_second_policy(tmp_path)),
    ]
    files = ["--prices", str(tmp_path / "prices.csv"), "--book", "-", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, ["backtest", *files, *policies, "--json"], input=json.dumps(BOOK))
    assert ran.exit_code == 0, ran.output
    assert [p["accounts"] for p in json.loads(ran.stdout)["policies"]] == [1, 1]


@pytest.mark.parametrize(
    ("prices", "book", "named"),
    [
        (PRICES.replace("85", "0"), BOOK, "row 3, column price: zero, value '0'"),
        (
            PRICES.replace("2020-03-03,AAA,85\n", ""),
            BOOK,
            "after row 2, column timestamp: a session without a row, value '2020-03-03'",
        ),
        (
            PRICES,
            {"accounts": [{"account_id": "A", "cash": 1, "positions": [{"symbol": "ZZZ", "qty": 1}]}]},
            "column ZZZ",
        ),
        (
            PRICES,
            {"accounts": [{"account_id": "A", "cash": "x"}]},
            "accounts[0].cash: not a number, value 'x'",
        ),
    ],
)
def test_bad_input_ends_with_2_and_names_the_place(
    tmp_path: Path, prices: str, book: Any, named: str
) -> None:
    ran = _invoke(tmp_path, prices, book)
    assert ran.exit_code == 2
    assert named in ran.stderr


FILL = {
    "topic": "fills.v1",
    "fill_id": "1",
    "account_id": "A",
    "symbol": "BBB",
    "qty": 10,
    "price": 50,
    "timestamp": 1583251200000,
}
BOTH = "timestamp,AAA,BBB\n2020-03-02,100,50\n2020-03-03,85,50\n2020-03-04,90,55\n"


def _with_events(folder: Path, prices: str, *lines: Any) -> Any:
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return _invoke(folder, prices, BOOK, "--events", str(folder / "events.jsonl"))


def test_a_trade_on_the_way_in_a_symbol_nobody_held_counts_from_its_time(tmp_path: Path) -> None:
    """10 BBB bought at 50 before the second close:
    8,500 + 500 - 7,000 = 2,000, and with BBB at 55 the third is worth 2,550.
    """
    ran = _with_events(tmp_path, BOTH, FILL)
    assert ran.exit_code == 0, ran.output
    (bars,) = (tmp_path / "out").glob("bars-*.csv")
    assert [float(line.split(",")[1]) for line in bars.read_text(encoding="utf-8").splitlines()[1:]] == [
        3500,
        2000,
        2550,
    ]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"account_id": "ZZ"}, "events line 2, account_id: unknown account, value 'ZZ'"),
        ({"qty": "x"}, "events line 2, qty: "),
        ({"topic": "prices.v1"}, "events line 2, topic: not one of"),
        ({"symbol": "CCC"}, "column CCC: symbol of the book has no price"),
    ],
)
def test_a_bad_event_ends_with_2_and_names_its_line(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    ran = _with_events(tmp_path, BOTH, FILL, FILL | {"fill_id": "2"} | change)
    assert ran.exit_code == 2, ran.output
    assert named in ran.stderr


def test_a_generated_book_needs_prices_of_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES, encoding="utf-8")
    files = ["--prices", str(tmp_path / "prices.csv"), "--book", "sample:20", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(app, ["backtest", *files, "--json"])
    assert ran.exit_code == 2, ran.output
    assert "book: sample:20 on prices.csv: no price of any of AAPL, AMD" in ran.stderr


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("", encoding="utf-8")
    ran = _invoke(tmp_path)
    assert ran.exit_code == 2
    assert f"out: Not a directory, value '{tmp_path / 'out'}'" in ran.stderr


def test_a_date_that_is_none_is_named(tmp_path: Path) -> None:
    ran = _invoke(tmp_path, PRICES, BOOK, "--from", "2020-13-01")
    assert ran.exit_code == 2
    assert "from: not a date" in ran.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium: not found; `make test` installs Debian's, or apt-get install chromium")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.browser
def test_the_report_of_the_docs_shows_its_plots(tmp_path: Path, browser: Any) -> None:
    """The picture of docs/capabilities/backtest.md: MARGIN_SCREENSHOTS=1 writes it there."""
    folder = DOCS / "images" if os.environ.get("MARGIN_SCREENSHOTS") else tmp_path
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto((DOCS / "backtest-2020.html").as_uri())
    page.locator("h2", has_text="By policy").evaluate("heading => heading.scrollIntoView()")
    page.screenshot(path=folder / "backtest-report.png")
    assert page.locator("figure svg").first.is_visible()
    page.close()


@pytest.mark.browser
def test_the_report_stands_alone_in_a_browser_and_its_tables_sort(tmp_path: Path, browser: Any) -> None:
    stricter = _second_policy(tmp_path)
    held = [{"symbol": "AAA", "qty": 100}]
    book = {
        "accounts": [{"account_id": f"A<b>{n}", "cash": -6500 - 100 * n, "positions": held} for n in range(3)]
    }
    assert (
        _invoke(
            tmp_path,
            PRICES,
            book,
            "--policy",
            str(next(POLICY_FOLDER.glob("*.yaml"))),
            "--policy",
            str(stricter),
        ).exit_code
        == 0
    )
    page = browser.new_page()
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "out" / "report.html").as_uri())
    assert errors == []
    assert [url for url in asked if not url.startswith("file:")] == []
    assert page.locator("figure svg").count() == 4
    assert page.locator("b").count() == 0  # an account's name is text, not markup
    column = page.locator("#accounts-1 tbody td:nth-child(1)")
    before = column.all_text_contents()
    page.locator("#accounts-1 th:nth-child(4) button").click()
    page.locator("#accounts-1 th:nth-child(4) button").click()
    assert column.all_text_contents() == list(reversed(before))
    page.emulate_media(media="print")
    assert page.locator("#policies").is_visible()
    # nothing cut off
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert len(page.pdf()) > 10_000
    page.close()
