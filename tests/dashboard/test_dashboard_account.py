"""One account on the page: its figures, what-if, cures and positions as the kernel has them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from margin_platform.dashboard.account.answers import CURES_SHOWN
from margin_platform.dashboard.account.detail import document, policy_of
from margin_platform.documents.book_input import POSITION_FIELDS, parse
from margin_platform.documents.figures import evaluation
from margin_platform.kafka.bus import Bus
from margin_platform.liquidation.cures import cheapest_cures
from tests.support.page import FALL

pytestmark = [pytest.mark.kafka, pytest.mark.browser]
RUN = "3f6c1c1e-5d0a-4f7e-9d3e-0a1b2c3d4e5f"  # of the events that `firm.ladder` publishes


def test_what_if_equals_the_kernel(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    event = next(e for e in firm.publish(bus, firm.tick(**FALL)).status if e["account_id"] == "LEVERED-4")
    tab.goto(f"{start().url}/#/account/LEVERED-4")
    tab.fill("#whatif-trades", "AAPL:-10000 WMT:+50")
    tab.fill("#whatif-cash", "1000")
    tab.press("#whatif-cash", "Enter")
    expect(tab.locator("#whatif-result")).to_contain_text("no price of this symbol")  # no account holds WMT
    tab.fill("#whatif-trades", "AAPL:-10000")
    tab.press("#whatif-trades", "Enter")
    held = [{name: p[name] for name in POSITION_FIELDS if name in p} for p in event["positions"]]
    positions = [p | ({"qty": p["qty"] - 10_000} if p["symbol"] == "AAPL" else {}) for p in held]
    account = {
        "account_id": "LEVERED-4",
        "margin_type": "PORTFOLIO",
        "cash": event["cash"] + 10_000 * 55.0 + 1000,
        "positions": positions,
    }
    after = evaluation(parse({"accounts": [account]}, policy_of(event)))["accounts"][0]
    for field in ("equity", "requirement", "excess", "maintenance_req", "worst_stress"):
        shown = f"{after[field]:,.2f}".replace("-", "−")
        expect(tab.locator("#whatif-result td:nth-child(3)").filter(has_text=shown).first).to_be_visible()


def test_the_account_page_explains_the_published_figure(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    tab.goto(f"{start(MARGIN_DAGSTER_URL='http://127.0.0.1:3000').url}/#/account/LEVERED-4")
    view = tab.locator("#view-account")
    expect(view.locator(".run a").first).to_have_attribute("href", f"http://127.0.0.1:3000/runs/{RUN}")
    expect(view).to_contain_text("short by $201,650.00")
    expect(view).to_contain_text("equals the published figure")
    expect(view.locator(".rung").filter(has_text="margin call")).to_contain_text("past by $201,650.00")
    expect(view.locator("#chart-stress canvas, #chart-tims canvas")).to_have_count(2)
    expect(view.locator(".item.call").filter(has_text="margin call")).to_contain_text("text: delivered")
    expect(tab.locator("#calls")).to_have_text("1")
    expect(tab.locator("#next-due")).to_contain_text("2020-03-18 15:00:00 EDT")


def test_an_unknown_account_is_named_as_not_found(bus: Bus, start: Any, tab: Page) -> None:
    tab.goto(f"{start().url}/#/account/NO-SUCH")
    expect(tab.locator("#view-account")).to_have_text("Account not found: NO-SUCH")


def test_the_cheapest_cures_are_the_kernels_and_the_positions_sum_to_what_binds(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    event = next(e for e in firm.publish(bus, firm.tick(**FALL)).status if e["account_id"] == "LEVERED-4")
    cures = cheapest_cures(parse(document(event), policy_of(event)))
    tab.goto(f"{start().url}/#/account/LEVERED-4")
    shown = tab.locator("#account-cures tbody tr")
    expect(shown).to_have_count(min(len(cures), CURES_SHOWN))
    for row, cure in zip(shown.all(), cures, strict=False):
        expect(row).to_contain_text(f"{cure.amount:,.2f}")
    expect(tab.locator("#account-rungs .next")).to_have_count(0)  # past every rung
    total = tab.locator("#account-positions tbody tr").last
    expect(total).to_contain_text(f"{event['maintenance_req']:,.2f}")
    expect(tab.locator("#binding")).to_contain_text(
        f"margin type Portfolio: applied requirement ${event['requirement']:,.2f}"
    )


def test_an_account_is_told_with_eight_spy_scenarios_and_ten_valuation_points(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    server = start()
    tab.goto(f"{server.url}/#/account/LEVERED-4")
    # 25,000 at 55.00
    expect(tab.locator("#view-account tbody tr").filter(has_text="AAPL").first).to_contain_text(
        "1,375,000.00"
    )
    told = server.get("/api/account", id="LEVERED-4")["explained"]
    assert [s["scenario"] for s in told["figures"]["stress"]] == [
        -0.08,
        -0.06,
        -0.04,
        -0.02,
        0.0,
        0.02,
        0.04,
        0.06,
    ]
    assert [round(p, 1) for p in told["tims"]["points"]] == [
        -1.0,
        -0.8,
        -0.6,
        -0.4,
        -0.2,
        0.2,
        0.4,
        0.6,
        0.8,
        1.0,
    ]
    # long names only: the fall of the whole range costs most, and binds
    assert (told["tims"]["binding"], min(told["tims"]["total"])) == (0, told["tims"]["total"][0])
    groups = len(told["tims"]["groups"])
    expect(tab.locator("#account-tims .note")).to_contain_text("binding point −1.0×")
    expect(tab.locator("#account-tims .note")).to_contain_text(f"{min(3, groups)} of {groups} groups drawn")


def test_an_account_that_was_never_decided_upon_is_told_from_the_book(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    """No status event carries its positions:
    they are the fills', at the prices of now, and give the published figure.
    """
    firm.publish(bus, firm.open())
    outcome = firm.publish(bus, firm.tick(**FALL))
    assert "GREEN-1" not in {e["account_id"] for e in outcome.status}
    published = next(e for e in outcome.calc if e["account_id"] == "GREEN-1")
    tab.goto(f"{start().url}/#/account/GREEN-1")
    positions = tab.locator("#account-positions")
    expect(positions.locator("tbody tr")).to_have_count(4)  # and their sum
    expect(positions.locator("tbody tr").filter(has_text="XOM")).to_contain_text(f"{300 * FALL['XOM']:,.2f}")
    expect(positions).to_contain_text("equals the published figure")
    expect(tab.locator("#chart-stress canvas, #chart-tims canvas")).to_have_count(2)
    tab.fill("#whatif-trades", "AMD:+100")  # which only another account holds
    tab.press("#whatif-trades", "Enter")
    equity = tab.locator("#whatif-result tr").filter(has_text="Equity").locator("td")
    expect(equity.nth(2)).to_have_text(f"{published['equity']:,.2f}")


def test_a_trade_half_typed_survives_new_figures(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    tab.goto(f"{start().url}/#/account/SHORT-5")
    tab.fill("#whatif-trades", "AMD:+1")
    firm.publish(bus, firm.tick(AMD=47.0))
    expect(tab.locator("#account-positions")).to_contain_text("-1,000".replace("-", "\N{MINUS SIGN}"))
    expect(tab.locator("#account-positions")).to_contain_text("47,000.00")
    expect(tab.locator("#whatif-trades")).to_be_focused()
    expect(tab.locator("#whatif-trades")).to_have_value("AMD:+1")
