"""Every view is readable by everybody the axe rules of WCAG 2.1 AA speak for:
contrast, names, roles, in both themes, live and gray.

On the way the pictures of docs/capabilities/dashboard.md are taken; written into the tree only when asked
(MARGIN_SCREENSHOTS).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from margin_platform.kafka.bus import Bus
from tests.support.page import FALL

pytestmark = [pytest.mark.kafka, pytest.mark.browser, pytest.mark.nightly]

VIEWS = {
    "accounts": ".ag-row",
    "account/LEVERED-4": "#chart-tims canvas",
    "firm": "#firm-concentration td.num",
    "feed": "#feed .item.call",
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


def picture(page: Page, view: str, theme: str, folder: Path) -> None:
    """All views in the dark, the accounts in the light too."""
    name = view.split("/")[0]
    if theme == "light" and name != "accounts":
        return
    if name == "account":
        page.fill("#whatif-trades", "AAPL:-10000")
        page.press("#whatif-trades", "Enter")
        page.locator("#whatif-result td").first.wait_for()
    target = folder / f"dashboard-{name}{'-light' if theme == 'light' else ''}.png"
    page.screenshot(path=target, full_page=True)
    assert target.stat().st_size > 20_000


def violations(page: Page) -> str:
    found = Axe().run(page, options=RULES)
    return found.generate_report() if found.violations_count else ""


def test_no_view_breaks_a_rule_of_accessibility(
    bus: Bus, firm: Any, start: Any, browser: Browser, pictures: Path
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    dark, light = (
        browser.new_page(viewport={"width": 1600, "height": 950}, color_scheme=theme)
        for theme in ("dark", "light")
    )
    broken: dict[str, str] = {}
    for live, quiet in (("true", "600"), ("false", "1")):  # after a second without events a page is gray
        server = start("--quiet", quiet, MARGIN_DAGSTER_URL="http://127.0.0.1:3000")
        for theme, page in (("dark", dark), ("light", light)):
            for view, landmark in VIEWS.items():
                page.goto(f"{server.url}/#/{view}")
                page.locator(landmark).first.wait_for()
                page.wait_for_selector(f"html[data-theme={theme}][data-live={live}]")
                if live == "true":
                    picture(page, view, theme, pictures)
                broken[f"{theme} {view}, live {live}"] = violations(page)
    dark.goto(f"{server.url}/#/accounts")
    dark.locator(".ag-row").first.wait_for()
    server.kill()
    dark.locator("#stale").get_by_text("the page lost its stream").wait_for()
    dark.screenshot(path=pictures / "dashboard-stream-lost.png")
    for page in (dark, light):
        page.close()
    assert not any(broken.values()), "\n".join(broken.values())
    assert len(broken) == 2 * 2 * len(VIEWS)
