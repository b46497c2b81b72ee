"""The page in real Chromium over a real broker:
it shows what arrives, says when it cannot, and believes no text it is given.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from confluent_kafka.admin import AdminClient
from playwright.sync_api import Browser, Page, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from tests.support.page import FALL, LIVE, first_row_ends, held, settled

pytestmark = [pytest.mark.kafka, pytest.mark.browser]

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


def badge(tab: Page, account: str) -> str:
    """The color of an account's row, as a screen reader announces it."""
    row = tab.locator(".ag-row").filter(has_text=account)
    number = row.first.get_attribute("row-index")
    return tab.locator(f'.ag-row[row-index="{number}"] .badge').first.get_attribute("aria-label") or ""


def shows(tab: Page, account: str, color: str) -> None:
    """Waits until an account has a color."""
    settled(
        tab,
        """([account, color]) => { const store = marginPage.store, i = store?.byId.get(account);
           const cell = i === undefined ? null : document.querySelector(`.ag-row[row-id="${i}"] .badge`);
           return cell?.classList.contains(color); }""",
        arg=[account, color],
    )


def test_colors_change_when_events_arrive(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    firm.publish(bus, firm.open())
    tab.goto(start().url)
    tab.wait_for_selector(LIVE)
    shows(tab, "EDGE-2", "green")
    expect(tab.locator("[data-color=red]")).to_have_text("R0")
    firm.publish(bus, firm.tick(**FALL))
    shows(tab, "EDGE-2", "yellow")
    shows(tab, "LEVERED-4", "red")
    assert badge(tab, "LEVERED-4") == "red: call or restricted"
    expect(tab.locator("[data-color=red]")).to_have_text("R1")
    firm.publish(bus, firm.tick(AAPL=52.0))
    shows(tab, "EDGE-2", "red")


def test_a_killed_server_turns_the_page_gray_and_nothing_is_missed_when_it_is_back(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    server = start()
    tab.goto(server.url)
    tab.wait_for_selector(LIVE)
    shows(tab, "EDGE-2", "green")
    server.kill()
    tab.wait_for_selector("html[data-live=false]")
    expect(tab.locator("#stale")).to_contain_text("the page lost its stream since")
    once_green = tab.locator(".badge.green").first
    # --gray of the dark theme
    assert once_green.evaluate("(b) => getComputedStyle(b).backgroundColor") == "rgb(139, 151, 164)"
    outcome = firm.publish(bus, firm.tick(**FALL))  # while no page was connected
    start(port=server.port)
    tab.wait_for_selector(LIVE)
    shows(tab, "LEVERED-4", "red")
    assert held(tab) == {e["account_id"]: e["excess"] for e in outcome.calc}


def test_a_cut_socket_resumes_from_what_the_page_holds(bus: Bus, firm: Any, start: Any, tab: Page) -> None:
    """The page sends its last sequence; the server answers `resumed` and sends what changed meanwhile."""
    firm.publish(bus, firm.open())
    server = start()
    tab.goto(server.url)
    tab.wait_for_selector(LIVE)
    tab.evaluate("""() => { window.frames_ = []; window.dials_ = 0; const s = marginPage.stream;
        s.addEventListener('hello', (e) => frames_.push(e.detail.resumed));
        s.addEventListener('frame', (e) => frames_.push(...e.detail.rows.map((r) => r[1])));
        s.addEventListener('lost', () => frames_.push('lost'));
        s.connect = () => dials_++; s.socket.close(); }""")
    # its one attempt went nowhere: it dials on request
    settled(tab, "frames_.includes('lost') && dials_ === 1")
    outcome = firm.publish(bus, firm.tick(AMD=47.0))  # touches SHORT-5 alone
    while server.get("/api/account", id="SHORT-5")["calc"]["excess"] != outcome.calc[0]["excess"]:
        tab.wait_for_timeout(50)  # the server has it, and the page has not dialled yet
    tab.evaluate("() => { delete marginPage.stream.connect; marginPage.stream.connect(); }")
    settled(tab, "frames_.includes('SHORT-5')")
    assert tab.evaluate("frames_") == ["lost", True, "SHORT-5"]
    assert held(tab)["SHORT-5"] == outcome.calc[0]["excess"]
    tab.wait_for_selector(LIVE)


def test_a_quiet_stream_and_a_broker_that_cannot_be_read_are_gray(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    tab.goto(start("--quiet", "1.5").url)
    tab.wait_for_selector("html[data-live=false]")
    expect(tab.locator("#stale")).to_contain_text("no margin event written since")
    delays = tab.locator("#alerts li[data-kind=feed]")
    expect(delays).to_have_count(0)  # the page was not live yet: nothing has stopped
    firm.publish(bus, firm.tick(AMD=47.0))
    tab.wait_for_selector(LIVE)
    expect(delays).to_contain_text("no margin event written since")
    tab.goto(start("--bootstrap", "127.0.0.1:9").url)
    expect(tab.locator("#stale")).to_contain_text("Kafka cannot be read")


def test_a_topic_that_is_missing_turns_the_page_gray_by_name(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    """Without restrictions.v1 the page would show accounts as free that are not."""
    admin = AdminClient({"bootstrap.servers": bus.bootstrap})
    for gone in admin.delete_topics(["restrictions.v1"]).values():
        gone.result(30)
    firm.publish(bus, firm.open())
    tab.goto(start().url)
    expect(tab.locator("#stale")).to_contain_text("restrictions.v1 cannot be read since")
    shows(tab, "GREEN-1", "green")
    assert (
        tab.locator(".badge.green").first.evaluate("(b) => getComputedStyle(b).backgroundColor")
        == "rgb(139, 151, 164)"
    )
    topic_admin.create(bus.bootstrap)
    tab.wait_for_selector(LIVE)


def test_an_open_account_is_asked_about_again_when_its_change_comes_in_parts(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    """A market-wide tick is more rows than one message holds;
    the parts are made here, as the stream hands them to the page.
    """
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    tab.goto(f"{start().url}/#/account/LEVERED-4")
    expect(tab.locator("#account-positions tbody tr").first).to_be_visible()
    asked: list[str] = []
    tab.on("request", lambda r: asked.append(r.url) if "/api/account" in r.url else None)
    tab.evaluate("""() => new Promise((done) => marginPage.stream.addEventListener('frame', ({ detail }) => {
        const id = 'LEVERED-4', told = { i: marginPage.store.byId.get(id), account_id: id };
        const row = marginPage.store.columns.map((name) => told[name] ?? null);
        const frame = (rows, seq) => new CustomEvent('frame', { detail: { ...detail, rows, feed: [], seq } });
        const part = (...of) => marginPage.stream.dispatchEvent(frame(...of));
        setTimeout(() => { part([row], null); part([], detail.seq); done(); });
    }, { once: true }))""")
    end = time.monotonic() + 20
    while not asked and time.monotonic() < end:
        tab.wait_for_timeout(50)
    assert asked


def test_a_script_in_an_account_id_or_a_symbol_does_nothing(
    bus: Bus, firm: Any, start: Any, tab: Page
) -> None:
    firm.publish(bus, firm.open())
    outcome = firm.publish(bus, firm.tick(**FALL))
    short = "<script>document.title='owned'</script>"  # an id has at most 64 characters
    told = next(e for e in outcome.status if e["account_id"] == "LEVERED-4")
    call = dict.fromkeys(("account_id", "explanation"), HOSTILE) | dict.fromkeys(
        ("call_id", "run_id", "correlation_id"), short
    )
    call["timestamp"] = told["timestamp"]
    bus.produce("margin.calls.v1", call | {"action": "MARGIN_CALL"})
    leg = {"symbol": HOSTILE, "side": "SELL", "qty": 7}
    order = call | {"action": "NEW", "order_id": "O", "reason": HOSTILE, "positions": [leg]}
    bus.produce("liquidation.orders.v1", order)
    named = [p | {"symbol": HOSTILE, "class_group": HOSTILE} for p in told["positions"][:1]]
    bus.produce("margin.status.v1", told | {"positions": named, "timestamp": told["timestamp"] + 1})
    bus.flush()
    server = start()
    tab.goto(server.url)
    tab.wait_for_selector(LIVE)
    expect(tab.locator(".ag-cell.id").filter(has_text="<img src=x")).to_have_count(1)
    for view in (f"account/{quote(HOSTILE, safe='')}", "account/LEVERED-4", "firm", "feed"):
        tab.goto(f"{server.url}/#/{view}")
        expect(tab.locator(f"#view-{view.split('/')[0]}")).to_contain_text("<script>")
    expect(tab.locator("#feed .item.order")).to_contain_text(f"sell 7 {HOSTILE}")
    assert "owned" not in tab.title()
    assert tab.locator("main img, main script").count() == 0


def test_an_inline_script_is_refused_by_the_browser(bus: Bus, start: Any, browser: Browser) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text))
    page.goto(start().url)
    page.evaluate("""() => { const s = document.createElement('script');
        s.textContent = "document.title = 'owned'";
        document.head.append(s); }""")
    page.evaluate("() => new Promise(requestAnimationFrame)")
    assert "owned" not in page.title()
    assert any("Content Security Policy" in text for text in said)
    page.close()


@pytest.mark.parametrize(
    ("width", "height", "scale"), [(800, 475, 2), (390, 800, 1)], ids=["zoomed to 200%", "narrow window"]
)
def test_nothing_is_cut_off_when_zoomed_or_narrow(
    bus: Bus, firm: Any, start: Any, browser: Browser, width: int, height: int, scale: int
) -> None:
    """Zooming a 1600 by 950 window to 200% leaves 800 by 475 CSS pixels;
    the page itself never scrolls sideways.
    """
    firm.publish(bus, firm.open())
    firm.publish(bus, firm.tick(**FALL))
    server = start()
    page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
    landmarks = {
        "accounts": ".ag-row",
        "account/LEVERED-4": "#chart-tims canvas",
        "firm": "#chart-firm canvas",
        "feed": "#feed",
        "calls": "#calls-list table",
    }
    for view, landmark in landmarks.items():
        page.goto(f"{server.url}/#/{view}")
        page.locator(landmark).first.wait_for()
        if view.startswith("account/"):
            page.fill("#whatif-trades", "AAPL:-10000")
            page.press("#whatif-trades", "Enter")
            page.locator("#whatif-result td").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert page.locator("#live").is_visible()
        if view == "accounts":  # rows are in sight without a scroll; the firm's figures open on demand
            assert first_row_ends(page) < height
            expect(page.locator("#tiles")).to_be_hidden()
            page.click("#figures")
            expect(page.locator("#tiles")).to_be_visible()
    page.close()


def test_elsewhere_than_on_loopback_a_token_and_the_right_origin_are_needed(
    bus: Bus, start: Any, tab: Page
) -> None:
    server = start("--host", "0.0.0.0", "--token", "s3cret")
    address = f"127.0.0.1:{server.port}"
    assert httpx.get(f"http://{address}/").status_code == 401
    for headers, status in (
        ({}, 403),
        ({"Authorization": "Bearer s3cret", "Origin": "http://evil.example"}, 403),
    ):
        socket = f"ws://{address}/live"
        with pytest.raises(InvalidStatus) as refused, connect(socket, additional_headers=headers):
            pass
        assert refused.value.response.status_code == status
    with connect(f"ws://{address}/live", additional_headers={"Authorization": "Bearer s3cret"}):
        pass
    tab.goto(f"http://{address}/?token=s3cret")
    assert tab.url == f"http://{address}/"
    settled(tab, "marginPage.stream.epoch !== null")


def test_an_open_address_without_a_token_is_bad_input(broker: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MARGIN_")}
    command = [
        sys.executable,
        "-m",
        "margin_platform.cli",
        "dashboard",
        "--bootstrap",
        broker,
        "--host",
        "0.0.0.0",
        "--port",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 2
    assert "token" in done.stderr


def test_it_stops_cleanly_with_a_page_open(broker: str, tab: Page) -> None:
    """Started as people start it."""
    program = [
        str(Path(sys.executable).parent / "margin"),
        "dashboard",
        "--bootstrap",
        broker,
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        tab.goto(orjson.loads(server.stdout.readline())["url"])
        settled(tab, "marginPage.stream.epoch !== null")
        server.terminate()
        assert server.wait(15) == 0
