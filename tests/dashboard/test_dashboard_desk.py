"""The desk's tools on the page: scenario builder, the lag of enforcement, alerts, columns, small windows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import insert

from margin_platform.dashboard.state.undecided import LATE_MS, Undecided
from margin_platform.firm.shocks import Shock, effect
from margin_platform.kafka.bus import Bus
from margin_platform.market import instruments
from margin_platform.store.store import Store
from margin_platform.store.tables import progress
from tests.support.page import FALL, first_row_ends

NOW = 1_600_000_000_000


def test_enforcement_is_as_of_its_oldest_undecided_event() -> None:
    undecided = Undecided()
    assert undecided.standing(NOW) is None  # the store was not read yet
    for partition, offset, clock in ((0, 5, 50), (0, 6, 60), (1, 0, 40)):
        undecided.note(partition, offset, clock, NOW - LATE_MS - 1 + clock)
    undecided.decided({0: 5})
    assert undecided.standing(NOW) == {"undecided": 3, "since": 40, "late": False}
    assert undecided.standing(NOW + 60) == {"undecided": 3, "since": 40, "late": True}
    undecided.decided({0: 6, 1: 1})
    assert undecided.standing(NOW + 50) == {"undecided": 1, "since": 60, "late": False}
    undecided.decided({0: 7, 1: 1})
    assert undecided.standing(NOW) == {"undecided": 0, "since": None, "late": False}
    undecided.note(0, 0, 70, NOW)  # the topic was created again, and decided up to its end of before
    undecided.decided({0: 0, 1: 1})
    undecided.note(0, 1, 80, NOW)
    assert undecided.standing(NOW) == {"undecided": 1, "since": 80, "late": False}
    undecided.decided(None)
    assert undecided.standing(NOW) is None


@pytest.mark.kafka
@pytest.mark.browser
def test_the_firm_page_shocks_the_whole_book_by_the_kernel(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    engine = firm.engine
    book = engine.ledger.book(engine.code_of)
    tab.goto(f"{start().url}/#/firm")
    form, result = tab.locator("#builder"), tab.locator("#builder-result")
    expect(tab.locator("#firm-groups tbody tr").first).to_be_visible()  # the book is read
    form.locator("[name=symbol]").fill("no-such")
    form.get_by_role("button", name="Evaluate").click()
    expect(result.get_by_role("alert")).to_contain_text("unknown symbol")
    sector = [s for s, of in instruments.sectors().items() if of == "Information Technology"]
    for which, choose, shock in (
        ("symbol", {"symbol": "aapl", "move": "-30"}, Shock(["AAPL"], -0.3)),
        ("sector", {"sector": "Information Technology", "move": "-15"}, Shock(sector, -0.15)),
        ("all", {"tier": True, "move": "0"}, Shock(None, 0.0, tier_up=True)),
    ):
        expected: dict[str, Any] = effect(book, engine.market, engine.policy, shock)
        form.locator("[name=which]").select_option(which)
        for name, value in choose.items():
            field = form.locator(f"[name={name}]")
            if name == "sector":
                field.select_option(value)
            elif name == "tier":
                field.check()
            else:
                field.fill(value)
        form.get_by_role("button", name="Evaluate").click()
        cells = result.locator("table").first.locator("tbody tr")
        deficiency = f"{expected['deficiency']['after']:,.2f}"
        expect(cells.filter(has_text="Deficiency").locator("td").nth(2)).to_have_text(deficiency)
        short = [str(expected["calls"][name]) for name in ("before", "after", "new")]
        expect(cells.filter(has_text="short of margin").locator("td.num")).to_have_text(short)
        expect(result.locator("table").nth(1).locator("tbody a")).to_have_count(len(expected["worst"]))
    groups = tab.locator("#firm-groups")
    tech = groups.locator("tbody tr").filter(has_text="Information Technology")
    held = sum(abs(q) * FALL[s] for s, q in (("AAPL", 26_200.0), ("AMD", -1_000.0)))
    assert held == 26_200 * 55.0 + 1_000 * 47.0
    expect(tech.locator("td").nth(1)).to_have_text(f"{26_200 * 55.0:,.2f}")
    expect(tech.locator("td").nth(2)).to_have_text(f"{1_000 * 47.0:,.2f}")
    expect(tech.locator("td").last).to_have_text("4")
    expect(groups.locator("tbody tr").filter(has_text="no sector").locator("td").last).to_have_text("2")


@pytest.mark.kafka
@pytest.mark.browser
def test_the_page_says_how_far_enforcement_is_and_alerts_to_what_is_new(
    bus: Bus, firm: Any, start: Any, tab: Page, tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'store.db'}"
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    firm.ladder(bus)
    with Store(address) as store:
        server = start(MARGIN_STORE=address)
        tab.goto(f"{server.url}/#/accounts")
        lag, alerts = tab.locator("#enforcement"), tab.locator("#alerts li")
        expect(lag).to_contain_text(
            re.compile(r"enforcement as of 2020-03-12 09:3\d:00 EDT, \d+ events behind")
        )
        with store.write() as connection:
            for partition in range(64):
                place = {"consumer": "enforcement", "topic": "margin.status.v1", "partition": partition}
                connection.execute(insert(progress).values(**place, next_offset=10_000))
        expect(lag).to_have_text("enforcement as of 2020-03-12 09:31:00 EDT")
    expect(alerts.filter(has_text="Severe call")).to_have_count(0)  # the one of before is no news
    call = {
        "account_id": "EDGE-2",
        "call_id": "MC-2",
        "correlation_id": "MC-2",
        "action": "MARGIN_CALL",
        "deficiency": 60_000.0,
        "requirement": 100_000.0,
        "equity": 40_000.0,
        "timestamp": firm.clock,
    }
    bus.produce("margin.calls.v1", call | {"account_id": "SHORT-5", "call_id": "MC-3", "deficiency": 1_000.0})
    bus.produce("margin.calls.v1", call)
    bus.flush()
    severe = alerts.filter(has_text="Severe call EDGE-2, short by $60,000.00")
    expect(severe).to_have_count(1)
    expect(alerts.filter(has_text="SHORT-5")).to_have_count(0)  # a call, and no severe one
    near = {"firm_beta_weighted_exposure": 0.85 * firm.policy.firm.firm_exposure_limit}
    for event in firm.firm.events():
        bus.produce("firm.risk.v1", event | near)
    bus.flush()
    limit = alerts.filter(has_text="Beta-weighted exposure $8.5M: near limit ($10.0M)")
    expect(limit).to_have_count(1)
    late = alerts.filter(has_text="Enforcement is 3 status events behind, as of 2020-03-12 09:31:00 EDT")
    expect(late).to_have_count(0)
    # What the server says of a minute's delay (test_enforcement_is_as_of_its_oldest_undecided_event), here
    # without the minute.
    tab.evaluate(
        """(since) => new Promise((done) => marginPage.stream.addEventListener('frame', ({ detail }) => {
        const enforcement = { undecided: 3, since, late: true };
        const frame = new CustomEvent('frame', { detail: { ...detail, enforcement, feed: [], rows: [] } });
        setTimeout(() => { marginPage.stream.dispatchEvent(frame); done(); });
    }, { once: true }))""",
        firm.clock,
    )
    expect(late).to_have_count(1)
    severe.get_by_role("button", name="Dismiss").click()
    expect(severe).to_have_count(0)
    tab.get_by_role("button", name="Alerts").click()
    tab.get_by_label("New severe call").uncheck()
    bus.produce("margin.calls.v1", call | {"call_id": "MC-4", "correlation_id": "MC-4"})
    bus.flush()
    tab.goto(f"{server.url}/#/feed")
    expect(tab.locator("#feed .item").filter(has_text="EDGE-2")).to_have_count(2)
    expect(alerts.filter(has_text="Severe call")).to_have_count(0)


@pytest.mark.kafka
@pytest.mark.browser
def test_columns_widths_and_views_are_kept_and_amounts_may_stand_in_parentheses(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    tab.goto(f"{start().url}/#/accounts?color=red")
    heading = tab.locator(".ag-header-cell")
    expect(heading.filter(has_text="Customer")).to_be_visible()
    tab.click("#columns")
    tab.get_by_label("Customer").uncheck()
    expect(heading.filter(has_text="Customer")).to_have_count(0)
    edge = heading.filter(has_text="Account").locator(".ag-header-cell-resize").bounding_box()
    assert edge is not None
    tab.mouse.move(edge["x"] + 2, edge["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(edge["x"] + 102, edge["y"] + 5, steps=4)
    tab.mouse.up()
    tab.fill("#layout-name", "my reds")
    tab.get_by_role("button", name="Save view").click()
    tab.get_by_role("button", name="Standard columns").click()
    expect(heading.filter(has_text="Customer")).to_be_visible()
    tab.goto(tab.url.split("#")[0] + "#/accounts")
    tab.reload()
    expect(heading.filter(has_text="Customer")).to_be_visible()
    tab.click("#columns")
    tab.select_option("#layout-views", "my reds")
    expect(heading.filter(has_text="Customer")).to_have_count(0)
    expect(tab).to_have_url(re.compile("color=red"))
    wide = heading.filter(has_text="Account").bounding_box()
    assert wide is not None
    assert wide["width"] == pytest.approx(304, abs=4)
    tab.reload()  # what was chosen last stands
    expect(tab.locator(".ag-row").first).to_be_visible()
    expect(heading.filter(has_text="Customer")).to_have_count(0)
    cell = tab.locator('.ag-cell[col-id="excess"]').first
    expect(cell).to_have_text(re.compile(r"^−[\d,]+\.\d\d$"))
    amount = cell.inner_text().removeprefix("−")
    tab.click("#parentheses")
    expect(cell).to_have_text(f"({amount})")
    expect(cell).to_have_class(re.compile("negative"))


@pytest.mark.kafka
@pytest.mark.browser
def test_rows_are_in_sight_on_a_phone_and_at_twice_the_size(
    bus: Bus, firm: Any, start: Any, browser: Browser
) -> None:
    """1,280 by 720 at 200% leaves 640 by 360; a common phone has 390 by 844. Filters and figures open on
    demand.
    """
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    server = start()
    for width, height in ((640, 360), (390, 844)):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(f"{server.url}/#/accounts")
        assert first_row_ends(page) <= height
        expect(page.locator("#by-method")).to_be_hidden()
        page.click("#more-filters")
        expect(page.locator("#by-method")).to_be_visible()
        page.close()
