"""Every view is readable by everybody the axe rules of WCAG 2.1 AA speak for:
contrast, names, roles, in both themes, live and gray.

On the way the pictures of docs/capabilities/dashboard.md are taken; written into the tree only when asked
(MARGIN_SCREENSHOTS).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from sqlalchemy import insert, select, update

from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS, Event
from margin_platform.dashboard.desk import users
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.bus import Bus
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from spark.tables.schemas import MARGIN_SNAPSHOTS_COLUMNS
from tests.support.page import FALL
from tests.support.table_rows import append

pytestmark = [pytest.mark.kafka, pytest.mark.browser, pytest.mark.nightly]

POLICY = current_policy()
VIEWS = {
    "accounts": ".ag-row",
    "account/LEVERED-4": "#chart-tims canvas",
    "calls": "#calls-list button",
    "firm": "#firm-groups td.num",
    "feed": "#feed .item.call",
}
# What opens on demand in a view, and what is there then.
OPENED = {
    "accounts": {"#columns": "#layout input", "#alerts-open": "#alerts-switches input"},
    "account/LEVERED-4": {"#arithmetic-show": "#arithmetic:not([hidden])"},
    "calls": {"#calls-list button": "#acting form"},
    "firm": {"#builder button": "#builder-result table"},
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
        page.locator("#chart-history canvas").wait_for()
        page.locator("#account-letters td a").first.wait_for()
    if name == "firm":
        opened(page, view)
    target = folder / f"dashboard-{name}{'-light' if theme == 'light' else ''}.png"
    page.screenshot(path=target, full_page=True)
    assert target.stat().st_size > 20_000


def violations(page: Page) -> str:
    found = Axe().run(page, options=RULES)
    return found.generate_report() if found.violations_count else ""


def decided(address: str, status: list[Event]) -> str:
    """A store in which enforcement decided, and notices were recorded and sent; the id of a letter."""
    with Store(address) as store:
        placed = [(event, (MARGIN_STATUS, 0, n)) for n, event in enumerate(status)]
        Enforcer(store, POLICY).handle_many(placed, run_id="r")
        with store.write() as connection:
            contact = {"email": "ada@x.example", "name": "Ada Lovelace"}
            for account in {event["account_id"] for event in status}:
                row = {"account_id": account, "contact": contact, "updated_at": 1}
                connection.execute(insert(t.contacts).values(**row))
            connection.execute(update(t.progress).values(next_offset=10_000))
            calls = [row.event for row in connection.execute(select(t.outbox)) if row.topic == MARGIN_CALLS]
        now = time.time_ns() // 1_000_000
        Notifier(store, POLICY, [Delivering()]).record(
            [(call, (MARGIN_CALLS, 0, n)) for n, call in enumerate(calls)], now
        )
        Notifier(store, POLICY, [Delivering()]).deliver(now)
        with store.read() as connection:
            mine = t.notifications.c.account_id == "LEVERED-4"
            found = select(t.notifications.c.notification_id).where(mine).limit(1)
            return str(connection.execute(found).scalar_one())


class Delivering:
    """A mail server that takes everything."""

    name, kind = "SMTP", "email"

    def send(self, message: Outgoing) -> str:
        return f"250 {message.recipient}"


def history(folder: Path, clock: int) -> str:
    """A table with two days of LEVERED-4."""
    day, minute = 24 * 3_600_000, 60_000
    rows = []
    for n in range(60):
        equity, requirement = 420_000.0 - 4_500.0 * n + 9_000.0 * (n % 5), 300_000.0 + 1_000.0 * (n % 7)
        figures = {"equity": equity, "requirement": requirement, "excess": equity - requirement}
        moment = clock - day + n * 6 * minute if n < 40 else clock - (60 - n) * minute
        rows.append({"account_id": "LEVERED-4", "calc_timestamp": moment, "batch_id": 1, **figures})
    append(folder, "margin_snapshots", MARGIN_SNAPSHOTS_COLUMNS, rows)
    return str(folder)


def opened(page: Page, view: str) -> None:
    """Opens what a view shows on demand."""
    if view == "firm":
        page.fill("#builder [name=symbol]", "AAPL")
    for button, landmark in OPENED.get(view, {}).items():
        if not page.locator(landmark).first.is_visible():
            page.locator(button).first.click()
            page.locator(landmark).first.wait_for()


def test_no_view_breaks_a_rule_of_accessibility(
    bus: Bus, firm: Any, start: Any, browser: Browser, pictures: Path, tmp_path: Path
) -> None:
    firm.publish(bus, firm.open())
    address = f"sqlite:///{tmp_path / 'store.db'}"
    letter = decided(address, firm.publish(bus, firm.tick(**FALL)).status)
    firm.ladder(bus)
    users.add(tmp_path / "users.json", "jane")
    more = {
        "MARGIN_STORE": address,
        "MARGIN_DESK_USERS": str(tmp_path / "users.json"),
        "MARGIN_TABLES": history(tmp_path / "tables", firm.clock),
        "MARGIN_DAGSTER_URL": "http://127.0.0.1:3000",
    }
    views = VIEWS | {f"letter/{letter}": "#letter"}
    dark, light = (
        browser.new_page(viewport={"width": 1600, "height": 950}, color_scheme=theme)
        for theme in ("dark", "light")
    )
    broken: dict[str, str] = {}
    for live, quiet in (("true", "600"), ("false", "1")):  # after a second without events a page is gray
        server = start("--quiet", quiet, **more)
        for theme, page in (("dark", dark), ("light", light)):
            for view, landmark in views.items():
                page.goto(f"{server.url}/#/{view}")
                page.locator(landmark).first.wait_for()
                page.wait_for_selector(f"html[data-theme={theme}][data-live={live}]")
                if live == "true":
                    picture(page, view, theme, pictures)
                opened(page, view)
                broken[f"{theme} {view}, live {live}"] = violations(page)
                if view == "accounts":
                    page.click("#alerts-open")  # closed again, out of the other pictures
    dark.goto(f"{server.url}/#/accounts")
    dark.locator(".ag-row").first.wait_for()
    server.kill()
    dark.locator("#stale").get_by_text("the page lost its stream").wait_for()
    dark.screenshot(path=pictures / "dashboard-stream-lost.png")
    for page in (dark, light):
        page.close()
    assert not any(broken.values()), "\n".join(broken.values())
    assert len(broken) == 2 * 2 * len(views)
