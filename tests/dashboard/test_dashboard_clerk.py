"""A day of a margin clerk on the page: few page loads, many figures on each."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert

from margin_platform.kafka.bus import Bus
from margin_platform.store.store import Store
from margin_platform.store.tables import calls

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


def test_the_worklist_shows_open_calls_and_records_what_a_desk_user_did(
    bus: Bus, firm: Any, start: Any, tab: Page, tmp_path: Path
) -> None:
    address, users = f"sqlite:///{tmp_path / 'store.db'}", tmp_path / "users.json"
    users.write_text(json.dumps({"jane": hashlib.sha256(b"her token").hexdigest()}))
    with Store(address) as store, store.write() as connection:
        fixed = {
            "opened_at": 1,
            "due_at": 2,
            "issued": 1.0,
            "outstanding": 1.0,
            "calc_id": "",
            "evidence": {},
        }
        row = {"call_id": "MC-1", "account_id": "LEVERED-4", "status": "OPEN"}
        connection.execute(insert(calls).values(**row, **fixed))
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    terms = {"account_id": "LEVERED-4", "margin_type": "PORTFOLIO", "timestamp": firm.clock}
    bus.produce("accounts.v1", terms | {"customer_name": "Ada Lovelace", "representative": "R. Smith"})
    bus.flush()
    server = start(MARGIN_STORE=address, MARGIN_DESK_USERS=str(users))
    tab.goto(f"{server.url}/#/calls")
    line = tab.locator("#calls-list tbody tr")
    expect(line).to_have_count(1)
    for text in (
        "LEVERED-4",
        "Ada Lovelace",
        "R. Smith",
        "$201,650.00",
        "2020-03-18 15:00:00 EDT",
        "text delivered",
    ):
        expect(line).to_contain_text(text)
    expect(line.locator("td").first).to_have_text("149.5 h left")  # 6 days, 5 hours and 29 minutes
    line.get_by_role("button", name="Act").click()
    form = tab.locator("#acting form")
    form.locator("select").select_option("note")
    form.locator("[name=text]").fill("left a message")
    form.locator("[name=token]").fill("a guess")
    form.get_by_role("button", name="Record").click()
    expect(form.get_by_role("alert")).to_have_text("not a desk user's token")
    form.locator("[name=token]").fill("her token")
    form.get_by_role("button", name="Record").click()
    expect(form).to_have_count(0)
    expect(line).to_contain_text("left a message (jane)")
    finds_accounts_by_what_a_clerk_knows(tab, server.url)
    leads_from_figures_to_the_accounts_behind_them(tab, firm, server.url)


def finds_accounts_by_what_a_clerk_knows(tab: Page, url: str) -> None:
    """Ids, last digits, names and symbols in any case; the address keeps the selection."""
    tab.set_viewport_size({"width": 1280, "height": 720})
    tab.goto(f"{url}/#/accounts?q=LOVELACE&flag=ANY")
    expect(tab.locator("#shown")).to_have_text("1 of 6")
    expect(tab.locator("#q")).to_have_value("LOVELACE")
    for text, count in (("ed-4", 1), ("r. smith", 1), ("levered-4", 1), ("nothing of the kind", 0), ("", 1)):
        tab.fill("#q", text)
        expect(tab.locator("#shown")).to_have_text(f"{count} of 6")
    tab.select_option("#by-flag", "")
    tab.fill("#q", "amd")  # in no id and no name: SHORT-5 holds it
    expect(tab.locator("#shown")).to_have_text("1 of 6")
    expect(tab).to_have_url(f"{url}/#/accounts?q=amd")
    tab.fill("#q", "")
    expect(tab).to_have_url(f"{url}/#/accounts")
    expect(tab.locator("#shown")).to_have_text("6 of 6")
    cells = tab.locator('.ag-cell[col-id="account_id"], .ag-cell[col-id="excess"], .ag-cell[col-id="equity"]')
    expect(cells.first).to_be_visible()
    cut = cells.evaluate_all(
        "cells => cells.filter(c => c.scrollWidth > c.clientWidth).map(c => c.textContent)"
    )
    assert [text for text in cut if "script" not in text] == []  # the villain's id is a hundred letters long


def leads_from_figures_to_the_accounts_behind_them(tab: Page, firm: Any, url: str) -> None:
    tab.goto(f"{url}/#/firm")
    worst = min(firm.firm.events(), key=lambda e: e["move"])
    row = tab.locator("#firm-scenarios .table-box tbody tr").first
    expect(row.locator("td").last).to_have_text(str(worst["calls_expected"]))
    row.get_by_role("link").click()
    expect(tab).to_have_url(re.compile("#/accounts.fails=-0.08"))
    expect(tab.locator("#shown")).to_have_text(f"{worst['calls_expected']} of 6")
    tab.click("#by-scenario")
    expect(tab.locator("#shown")).to_have_text("6 of 6")
    tab.locator('#colors [data-color="red"]').click()
    expect(tab).to_have_url(re.compile("#/accounts.color=red"))
    red = tab.locator('#colors [data-color="red"]').inner_text()[1:].strip()
    expect(tab.locator("#shown")).to_have_text(f"{red} of 6")
    tab.goto(f"{url}/#/firm")
    tab.locator("#firm-concentration").get_by_role("link", name="AMD").click()
    expect(tab.locator("#by-symbol")).to_have_value("AMD")
    expect(tab.locator("#shown")).to_have_text("1 of 6")
