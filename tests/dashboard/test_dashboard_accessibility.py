"""Every view is readable by everybody the axe rules of WCAG 2.1 AA speak for: contrast, names, roles, in both themes, live and grey."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from margin_platform.bus import Bus

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

FALL = {"AAPL": 55.0, "JPM": 80.0, "SPY": 235.0, "AMD": 47.0, "XOM": 33.0, "SIMINV": 52.6}
VIEWS = {
    "accounts": ".ag-row", "account/LEVERED-4": "#chart-tims canvas", "firm": "#chart-firm canvas", "feed": "#feed .item.call",
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_no_view_breaks_a_rule_of_accessibility(theme: str, bus: Bus, firm: Any, start: Any, browser: Browser) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    page = browser.new_page(viewport={"width": 1600, "height": 950}, color_scheme=theme)
    broken: dict[str, str] = {}
    for live, quiet in (("true", "600"), ("false", "1")):   # after a second without events a page is grey
        server = start("--quiet", quiet)
        for view, landmark in VIEWS.items():
            page.goto(f"{server.url}/#/{view}")
            page.locator(landmark).first.wait_for()
            page.wait_for_selector(f"html[data-live={live}]")
            found = Axe().run(page, options=RULES)
            if found.violations_count:
                broken[f"{view}, live {live}"] = found.generate_report()
    page.close()
    assert broken == {}, "\n".join(broken.values())
