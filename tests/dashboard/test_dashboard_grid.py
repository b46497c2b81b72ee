"""The grid of accounts: filters, order, export and keyboard, up to a hundred thousand rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Page, expect

from margin_platform.kafka.bus import Bus
from tests.support.page import FALL, LIVE, settled

pytestmark = [pytest.mark.kafka, pytest.mark.browser]


def test_a_filter_by_color_goes_on_after_growth_and_after_a_restart(bus: Bus, start: Any, tab: Page) -> None:
    def publish(names: range, status: str) -> None:
        for n in names:
            bus.produce(
                "margin.calc.v1",
                {
                    "account_id": f"A{n:04d}",
                    "status": status,
                    "excess": float(n),
                    "timestamp": 1_584_028_800_000,
                },
            )
        bus.flush()

    publish(range(1_000), "ACTIVE")
    server = start()
    tab.goto(server.url)
    tab.wait_for_selector(LIVE)
    tab.locator("label.chip.red input").check()
    expect(tab.locator("#shown")).to_have_text("0 of 1,000")
    publish(range(1_000, 1_100), "ACTIVE")  # past what the page's arrays held
    publish(range(5, 6), "MARGIN_CALL")
    expect(tab.locator("#shown")).to_have_text("1 of 1,100")
    server.kill()
    tab.wait_for_selector("html[data-live=false]")
    publish(range(7, 8), "MARGIN_CALL")
    start(port=server.port)
    tab.wait_for_selector(LIVE)
    expect(tab.locator("#shown")).to_have_text("2 of 1,100")
    for account in ("A0005", "A0007"):
        expect(tab.locator(".ag-cell.id").filter(has_text=account)).to_have_count(1)


def test_a_hundred_thousand_accounts_sort_filter_scroll_and_export(bus: Bus, start: Any, tab: Page) -> None:
    count = 100_000
    for n in range(count):
        event = {
            "account_id": f"A{n:06d}",
            "status": "MARGIN_CALL" if n % 100 == 0 else "ACTIVE",
            "excess": n - 1000.5,
            "equity": 1.0 * n,
            "margin_method": "PORTFOLIO" if n % 2 else "REG_T",
            "timestamp": 1_584_028_800_000,
        }
        bus.produce_raw("margin.calc.v1", orjson.dumps(event), event["account_id"])
    bus.flush()
    tab.goto(start().url)
    settled(tab, f"marginPage.store?.size === {count} && document.documentElement.dataset.live === 'true'")
    expect(tab.locator("#shown")).to_have_text("100,000 of 100,000")
    expect(tab.locator('.ag-row[row-index="0"]').filter(has_text="A000000")).to_have_count(1)
    tab.locator(".ag-header-cell", has_text="Excess").first.click()  # the other way round
    expect(tab.locator('.ag-row[row-index="0"]').filter(has_text="A099999")).to_have_count(1)
    tab.evaluate("document.querySelector('.ag-grid-viewport').scrollTop = 50000 * 28")
    expect(tab.locator('.ag-row[row-index="50010"]').filter(has_text="A049989")).to_have_count(1)
    tab.locator("label.chip.red input").check()
    expect(tab.locator("#shown")).to_have_text("1,000 of 100,000")
    tab.fill("#q", "A0000")
    expect(tab.locator("#shown")).to_have_text("1 of 100,000")
    with tab.expect_download() as download:
        tab.click("#csv")
    lines = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    assert len(lines) == 2
    assert lines[0][:3] == ["account_id", "color", "status"]
    assert lines[1][:3] == ["A000000", "red", "MARGIN_CALL"]


def test_an_export_never_holds_a_formula(bus: Bus, start: Any, tab: Page) -> None:
    # a blank before it is refused
    names = ['=HYPERLINK("http://evil")', "+1", "-1", "@SUM(A1)", 'quoted "id", with comma']
    for name in names:
        bus.produce(
            "margin.calc.v1",
            {"account_id": name, "status": "ACTIVE", "excess": -5.25, "timestamp": 1_584_028_800_000},
        )
    bus.flush()
    tab.goto(start().url)
    settled(tab, f"marginPage.store?.size === {len(names)}")
    with tab.expect_download() as download:
        tab.click("#csv")
    _, *rows = csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig")))
    assert len(rows) == len(names)
    assert not [r[0] for r in rows if r[0].lstrip()[:1] in "=+-@"]
    assert {r[6] for r in rows} == {"-5.25"}  # a figure stays a number


def test_everything_is_reached_by_keyboard(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    tab.goto(start().url)
    tab.wait_for_selector(LIVE)
    tab.keyboard.press("/")
    expect(tab.locator("#q")).to_be_focused()
    tab.keyboard.type("EDGE-")
    expect(tab.locator("#shown")).to_have_text("1 of 6")
    tab.keyboard.press("Escape")
    for _ in range(15):  # on through the filters into the grid
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.closest('#grid') !== null"):
            break
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    expect(tab.locator("#view-account h2")).to_contain_text("EDGE-2")
    assert tab.url.endswith("#/account/EDGE-2")
    tab.keyboard.press("Escape")
    expect(tab.locator("#view-accounts")).to_be_visible()
    tab.keyboard.press("2")
    expect(tab.locator("#view-firm")).to_contain_text("SPY scenarios")
    tab.click("#keys")  # switched off, they are letters again, also after a reload
    tab.reload()
    tab.wait_for_selector(LIVE)
    tab.keyboard.press("3")
    tab.keyboard.press("/")
    expect(tab.locator("#view-firm")).to_be_visible()
    tab.click("#keys")
    tab.keyboard.press("3")
    expect(tab.locator("#view-feed")).to_be_visible()


def test_rows_are_filtered_by_method_symbol_and_action_under_way(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    outcome = firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    shown = tab.locator("#shown")
    tab.goto(start().url)
    tab.wait_for_selector(LIVE)
    for method in ("REG_T", "PORTFOLIO"):
        tab.select_option("#by-method", method)
        expect(shown).to_have_text(f"{sum(e['margin_method'] == method for e in outcome.calc)} of 6")
    tab.select_option("#by-method", "")
    tab.fill("#by-symbol", "JPM")
    tab.press("#by-symbol", "Tab")
    expect(shown).to_have_text("3 of 6")  # long, short, and clear of any call
    for holder in ("GREEN-1", "EDGE-2", "SHORT-5"):
        expect(tab.locator(".ag-row").filter(has_text=holder)).to_have_count(1)
    bought = {
        "account_id": "HEDGED-3",
        "fill_id": "F-9",
        "symbol": "JPM",
        "qty": 10,
        "price": 80.0,
        "timestamp": firm.clock,
    }
    bus.produce("fills.v1", bought)
    bus.flush()
    expect(shown).to_have_text("4 of 6")  # the filter stands, and the book moves on
    tab.fill("#by-symbol", "")
    tab.press("#by-symbol", "Tab")
    expect(shown).to_have_text("6 of 6")
    tab.select_option("#by-flag", "ANY")
    expect(shown).to_have_text("1 of 6")
    expect(tab.locator('.ag-row[row-index="0"]').filter(has_text="LEVERED-4")).to_have_count(1)


SORTED = {
    "Excess %": "excess_pct",
    "Equity": "equity",
    "Applied req.": "requirement",
    "Rules-based": "reg_t_margin",
    "TIMS": "portfolio_margin_req",
    "PM relief": "margin_savings",
    "Worst stress": "worst_stress",
    "β exposure": "beta_weighted_exposure",
    "Gross value": "gross_mv",
}


def test_every_figure_of_every_account_is_shown_and_sorts(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    events = firm.publish(bus, firm.tick(**FALL)).calc
    tab.set_viewport_size({"width": 2_300, "height": 950})  # the grid draws only what is in sight
    tab.goto(start().url)
    tab.wait_for_selector(LIVE)
    first = tab.locator('.ag-row[row-index="0"]')
    for heading, name in SORTED.items():
        column = tab.locator(".ag-header-cell").filter(has=tab.get_by_text(heading, exact=True))
        for pick in (min, max):  # the first click sorts from the lowest, the second from the highest
            column.click()
            account, value = pick(((e["account_id"], e[name]) for e in events), key=lambda pair: pair[1])
            shown = f"{value:.1%}" if name == "excess_pct" else f"{value:,.2f}"
            expect(first.filter(has_text=account)).to_have_count(1)
            expect(first.locator(f'[col-id="{column.get_attribute("col-id")}"]')).to_have_text(
                shown.replace("-", "−")
            )
