"""The desk's pages over a running demo: what Kafka, Spark, Dagster, the decision store and the Delta tables
have of it, in the windows that a desk has.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from margin_platform.stack import state
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.end_to_end,
    pytest.mark.kafka,
    pytest.mark.spark,
    pytest.mark.browser,
    pytest.mark.timeout(900),
]

PROGRAM = str(Path(sys.executable).parent / "margin")
ACCOUNTS = 300
SLOW_MS = 45_000  # the pages share two cores with the demo
WINDOWS = {"1280": (1280, 800, 1), "1440": (1440, 900, 1), "390": (390, 844, 1), "200%": (640, 360, 2)}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The dashboard's URL, once a customer was called and notified; the demo runs on."""
    data = tmp_path_factory.mktemp("desk") / "stack"
    command = [
        PROGRAM,
        "demo",
        "--headless",
        "--accounts",
        str(ACCOUNTS),
        "--for",
        "400",
        "--data",
        str(data),
    ]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)

    def address() -> str:
        return str(state.load(data).components["dashboard"].url).rstrip("/") + "/"

    def ask(path: str, **parameters: str) -> Any:
        assert demo.poll() is None, "the demo has ended"
        try:
            return httpx.get(f"{address()}{path}", params=parameters, timeout=30).json()
        except (KeyError, httpx.TransportError):
            return {}

    try:
        wait_for(lambda: ask("desk/calls").get("calls"), "a margin call", 400)
        called = ask("desk/calls")["calls"][0]["account_id"]
        wait_for(lambda: ask("desk/letters", account=called).get("letters"), "its notice", 200)
        yield address()
    finally:
        os.killpg(demo.pid, signal.SIGINT)
        demo.wait(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium is not None, "chromium: not found; `make nightly` installs Debian's"
    with sync_playwright() as playwright:
        expect.set_options(timeout=SLOW_MS)
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window that fails the test on a script error."""
    width, height, scale = WINDOWS[request.param]
    opened = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
    opened.set_default_timeout(SLOW_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    opened.close()
    assert errors == []


def stays_inside(page: Page) -> None:
    """The page itself never scrolls sideways."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("page", WINDOWS, indirect=True)
def test_each_page_shows_what_the_stack_made_of_the_fall(desk: str, page: Page) -> None:
    page.goto(f"{desk}#/accounts")
    expect(page.locator("html[data-live=true]")).to_be_attached()
    expect(page.locator(".ag-row").first).to_be_visible()
    expect(page.locator("#enforcement")).to_contain_text("enforcement as of 2020-")
    stays_inside(page)

    page.goto(f"{desk}#/calls")
    rows = page.locator("#calls-list tbody tr")
    expect(rows.first).to_be_visible()
    account = rows.first.locator("a").first.inner_text()
    stays_inside(page)

    page.goto(f"{desk}#/account/{account}")
    expect(page.locator("#account-positions tbody tr").first).to_be_visible()
    expect(page.locator("#account-ladder .kind").filter(has_text="margin call").first).to_be_attached()
    history = page.locator("#chart-history")  # from the margin stream's Delta table
    expect(history).to_have_attribute("aria-label", re.compile(r"first 2020-0\d-\d\d"))
    letter = page.locator("#account-letters td a").first
    expect(letter).to_be_attached()
    stays_inside(page)

    page.goto(desk + str(letter.get_attribute("href")).lstrip("/"))
    expect(page.frame_locator("#letter").locator("body")).to_contain_text(re.compile("margin", re.IGNORECASE))
    stays_inside(page)

    page.goto(f"{desk}#/firm")
    expect(page.locator("#firm-groups td.num").first).to_be_visible()
    page.fill("#builder [name=symbol]", "AAPL")
    page.fill("#builder [name=move]", "-30")
    page.locator("#builder button").first.click()
    expect(page.locator("#builder-result table").first).to_contain_text("Deficiency")
    stays_inside(page)

    page.goto(f"{desk}#/feed")
    expect(page.locator("#feed .item.call").first).to_be_visible()
    stays_inside(page)
