"""A day of a margin clerk on the page: few page loads, many figures on each."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from margin_platform.kafka.bus import Bus

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

FALL = {"AAPL": 55.0, "JPM": 80.0, "SPY": 235.0, "AMD": 47.0, "XOM": 33.0, "SIMINV": 52.6}


def figures(account: str, clock: int, **more: Any) -> dict[str, Any]:
    """Return an account's figures as the stream publishes them, one that is called, of nothing but these."""
    shared = {"account_id": account, "status": "MARGIN_CALL", "timestamp": clock, "margin_type": "REG_T"}
    return shared | {"calc_id": account, "inputs": {"oldest_price": clock}} | more


def test_the_page_names_debits_minimums_and_the_end_of_a_replay(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    sold_out = {"equity": -24_137.33, "excess": -24_137.33, "requirement": 0.0, "gross_mv": 0.0}
    fell = {"equity": 99_999.99, "excess": -1_000.0, "requirement": 100_999.99, "gross_mv": 400_000.0}
    applied = {"margin_type": "PORTFOLIO", "applied_method": "REG_T"}
    bus.produce("margin.calc.v1", figures("SOLD-OUT-7", firm.clock, **sold_out))
    bus.produce("margin.calc.v1", figures("FELL-8", firm.clock, **fell, **applied))
    bus.produce(
        "prices.v1", {"symbol": "SPY", "price": 235.0, "timestamp": firm.clock, "last_of_replay": True}
    )
    bus.flush()
    tab.goto(f"{start('--quiet', '1').url}/#/firm")  # a second without events, and not gray
    expect(tab.locator("#debits-total")).to_have_text("$24,137.33 owed by 1 account without positions")
    expect(tab.locator("#firm-debits tbody tr")).to_have_count(1)
    expect(tab.locator("#firm-debits tbody tr")).to_contain_text("SOLD-OUT-7")
    expect(tab.locator("#loss-limit")).to_contain_text("$24.1K of it already owed")
    expect(tab.locator("#live")).to_have_text("replay ended at 2020-03-12 09:31:00 EDT, figures final")
    expect(tab.locator("html")).to_have_attribute("data-live", "true")
    tab.goto(tab.url.replace("#/firm", "#/account/FELL-8"))
    expect(tab.locator("#view-account .reason")).to_contain_text(
        "below the portfolio margin minimum: equity $99,999.99 against $100,000.00"
    )
    tab.goto(tab.url.replace("FELL-8", "SOLD-OUT-7"))
    expect(tab.locator("#view-account .reason")).to_have_text(
        "unsecured debit of $24,137.33: no position is left to sell"
    )
