"""What the page shows is what the events say: header, filters, firm view;
and what the server sends to a page that does not keep up.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert
from websockets.sync.client import connect

from margin_platform.dashboard.state.account_row import COLUMNS
from margin_platform.kafka.bus import Bus
from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states
from tests.support.page import FALL, LIVE

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

MINUTE_OLD = "60 s"


def test_the_header_shows_the_firms_figures_and_the_age_of_the_oldest_price(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.publish(bus, firm.tick(AMD=47.5))  # a minute later: every other price is a minute old
    worst = max(firm.firm.events(), key=lambda e: e["firm_loss"])
    tab.goto(start().url)
    tab.wait_for_selector(LIVE)
    expect(tab.locator("#exposure")).to_have_attribute(
        "title", f"${worst['firm_beta_weighted_exposure']:,.2f}"
    )
    expect(tab.locator("#exposure-limit")).to_contain_text("limit $10.0M")
    expect(tab.locator("#loss")).to_have_text(f"${worst['firm_loss'] / 1000:.1f}K")
    expect(tab.locator("#loss-limit")).to_contain_text(f"SPY −{abs(worst['move']):.0%}")
    expect(tab.locator("#lag")).to_have_text("0 events")
    expect(tab.locator("#oldest")).to_have_text(MINUTE_OLD)


def test_a_chart_says_in_words_what_it_draws(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    server = start()
    tab.goto(f"{server.url}/#/account/LEVERED-4")
    expect(tab.locator("#chart-stress canvas, #chart-tims canvas")).to_have_count(2)
    told = server.get("/api/account", id="LEVERED-4")["explained"]

    def compact(value: float) -> str:
        return str(tab.evaluate("async (x) => (await import('/static/format.js')).compact(x)", value))

    stress = tab.get_by_role("img", name="equity by SPY").get_attribute("aria-label") or ""
    for row in told["figures"]["stress"]:
        assert compact(row["equity_stressed"]) in stress
        assert compact(row["excess_recomputed"]) in stress
    tims = tab.get_by_role("img", name="all groups").get_attribute("aria-label") or ""
    for point, total in zip(told["tims"]["points"], told["tims"]["total"], strict=True):
        assert f"{'+' if point > 0 else '−'}{abs(point):.1f}× {compact(total)}" in tims


def test_the_firm_view_shows_the_savings_and_the_concentration_of_the_events(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    outcome = firm.publish(bus, firm.tick(**FALL))
    tab.goto(f"{start().url}/#/firm")
    saved = [e["margin_savings"] for e in outcome.calc]
    savings = tab.locator("#view-firm .panel").filter(has_text="PM relief of hedged portfolios")
    expect(savings).to_contain_text(f"for {sum(s > 0 for s in saved)} of {len(saved)} accounts")
    expect(savings.locator("tbody tr").first).to_contain_text(f"{max(saved):,.2f}")
    worst = max(firm.firm.events(), key=lambda e: e["firm_loss"])
    contributors = tab.locator("#firm-contributors tbody tr")
    expect(contributors).to_have_count(len(worst["top_contributors"]) or 1)
    for row, owed in zip(contributors.all(), worst["top_contributors"], strict=False):
        expect(row).to_contain_text(owed["account_id"])
        expect(row).to_contain_text(f"{owed['amount']:,.2f}")
    weakest = min(outcome.calc, key=lambda e: e["worst_stress"])
    expect(tab.locator("#firm-weakest tbody tr").first).to_contain_text(weakest["account_id"])
    exposed = max(outcome.calc, key=lambda e: abs(e["beta_weighted_exposure"]))
    expect(tab.locator("#firm-exposure tbody tr").first).to_contain_text(exposed["account_id"])
    held = (200, 1_000, 25_000)  # GREEN-1, EDGE-2, LEVERED-4
    row = (
        tab.locator("#view-firm .panel")
        .filter(has_text="Concentration by symbol")
        .locator("tbody tr")
        .filter(has_text="AAPL")
    )
    expect(row.locator("td").nth(1)).to_have_text(f"{sum(held) * 55:,.2f}")
    expect(row.locator("td").last).to_have_text(str(len(held)))


def test_the_chosen_theme_stays_after_a_reload(bus: Bus, start: Any, tab: Page) -> None:
    tab.goto(start().url)
    expect(tab.locator("html")).to_have_attribute("data-theme", "dark")
    tab.click("#theme")
    tab.reload()
    expect(tab.locator("html")).to_have_attribute("data-theme", "light")


def test_a_page_that_acknowledges_nothing_is_sent_no_more_and_then_only_the_newest(
    bus: Bus, firm: Any, start: Any
) -> None:
    """Back-pressure and conflation: fifty changes of one account wait as one row, whatever the page's
    pace.
    """
    firm.publish(bus, firm.open())
    server = start()
    with connect(f"ws://{urlsplit(server.url).netloc}/live") as page:
        page.send('{"epoch": null, "seq": -1}')
        assert orjson.loads(page.recv(timeout=30))["t"] == "hello"
        for _ in range(2):
            assert orjson.loads(page.recv(timeout=30))["t"] == "frame"
        for step in range(50):
            newest = firm.publish(bus, firm.tick(AMD=47.0 + step / 100)).calc[0]
        with pytest.raises(TimeoutError):
            page.recv(timeout=2)  # heartbeats come several times in this span to a page that keeps up
        end = time.monotonic() + 60
        while (server.get("/api/account", id="SHORT-5").get("calc") or {}).get("excess") != newest["excess"]:
            assert time.monotonic() < end, "the server never read the newest event"
        sent: list[float] = []
        while not sent:
            page.send("ack")
            frame = orjson.loads(page.recv(timeout=30))
            sent = [row[COLUMNS.index("excess")] for row in frame["rows"] if row[1] == "SHORT-5"]
        assert sent == [newest["excess"]]


def test_the_order_gate_is_asked_through_the_dashboard_and_guarded_by_its_token(
    start: Any, tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'store.db'}"
    event = {"positions": [{"symbol": "A", "qty": 400.0}]}
    with Store(address) as store, store.write() as connection:
        fixed = {"state": {}, "status": "CLOSE_ONLY", "audit_count": 0, "audit_hash": ""}
        connection.execute(
            insert(ladder_states).values(account_id="CLOSED", restricted=True, last_event=event, **fixed)
        )
    server = start("--host", "0.0.0.0", "--token", "s3cret", MARGIN_STORE=address)
    gate, order = (
        f"http://127.0.0.1:{server.port}/gate/orders/check",
        {"account_id": "CLOSED", "symbol": "A", "side": "SELL"},
    )
    assert httpx.post(gate, json=order | {"qty": 400}, timeout=30).status_code == 401
    for qty, allowed in ((400, True), (401, False)):
        answer = httpx.post(
            gate, json=order | {"qty": qty}, headers={"Authorization": "Bearer s3cret"}, timeout=30
        )
        assert (answer.status_code, answer.json()["allow"]) == (200, allowed)


def test_the_feed_is_in_the_order_in_which_things_happened_whatever_their_topics(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.ladder(bus)
    tab.goto(f"{start().url}/#/feed")
    actions = tab.locator("#feed .item .kind")
    expect(actions).to_have_text(
        ["failed", "delivered", "liquidation order", "liquidate", "close-only", "margin call"]
    )
