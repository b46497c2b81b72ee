"""Event on Kafka -> changed cell on screen, page memory, scrolling and the server's processor share,
at 100,000 accounts.

A broker, the real server and Debian's Chromium; a producer process changes `--rate` accounts a second. Every
half second one account at the top of the grid gets a new excess; the page notes the time of the paint in
which its cell shows it or a newer one. In the same run a bare consumer of the same topic notes when it had
the same event: the ratio of the two is what carries to other machines. The issue's half hour is `--seconds
1800`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil
from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from playwright.sync_api import CDPSession, Page, sync_playwright

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.firm.rows import firm_rows
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.market import instruments
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.stack import broker, ports

PROBE = "PROBE"
OPENING = 1_584_019_800_000  # 2020-03-12 09:30 New York, epoch milliseconds
PROBE_SECONDS = 0.5
VIEW_SECONDS = 2.0
_WATCH = """() => { window.paints = {};
  new MutationObserver(() => {
    const seen = document.querySelector('.ag-row[row-index="0"] [col-id=excess]')?.textContent;
    if (!seen || seen in paints) return;
    paints[seen] = 0;
    requestAnimationFrame(() => setTimeout(() => { paints[seen] = Date.now(); }));
  }).observe(document.getElementById('grid'), { subtree: true, childList: true, characterData: true }); }"""
_SCROLL = """(seconds) => new Promise((done) => {
  const box = document.querySelector('.ag-grid-viewport'), gaps = [];
  const end = performance.now() + seconds * 1000; let last = performance.now(), at = 0;
  const step = (now) => {
    gaps.push(now - last); last = now; at = (at + 280) % (box.scrollHeight - 1000); box.scrollTop = at;
    if (now < end) requestAnimationFrame(step); else { box.scrollTop = 0; done(gaps.slice(1)); } };
  requestAnimationFrame(step); })"""


def template() -> Event:
    """Build a margin.calc.v1 event as the stream makes it: an account of two names, priced by the margin
    engine."""
    engine = MarginEngine(instruments.load(), current_policy())
    told = [
        ("prices.v1", {"symbol": "AAPL", "price": 62.0}),
        ("prices.v1", {"symbol": "JPM", "price": 88.0}),
        ("accounts.v1", {"account_id": "T", "margin_type": "REG_T"}),
        ("cash.v1", {"account_id": "T", "transfer_id": "t", "amount": 50_000.0}),
        ("fills.v1", {"account_id": "T", "fill_id": "f", "symbol": "AAPL", "qty": 500, "price": 62.0}),
    ]
    records = [
        Record(t, 0, n, None, encode(e | {"timestamp": OPENING}), OPENING) for n, (t, e) in enumerate(told)
    ]
    return dict(engine.process(records, 1).calc[0])


def event_of(base: Event, number: int, excess: float, at: int) -> Event:
    return base | {"account_id": f"A{number:06d}", "excess": excess, "calc_timestamp": at, "timestamp": at}


def produce(bootstrap: str, accounts: int, rate: int, seconds: float) -> None:
    """Run the child process that keeps `rate` accounts a second changing."""
    base, chosen = template(), random.Random(7)
    with Bus(bootstrap) as bus:
        began, sent = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < seconds:
            for _ in range(min(rate, int(elapsed * rate) - sent)):
                number = chosen.randrange(accounts)
                event = event_of(
                    base, number, round(chosen.uniform(-5_000, 90_000), 2), OPENING + int(elapsed * 1000)
                )
                bus.produce(MARGIN_CALC, event)
                sent += 1
            bus.flush()
            time.sleep(0.01)
    print(sent)


class BareConsumer(threading.Thread):
    """When a plain consumer had each probe: the bound that no page can beat."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self.had: dict[float, float] = {}
        self.ended = threading.Event()
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "bare",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 50,
            }
        )
        partitions = self.consumer.list_topics(MARGIN_CALC, timeout=10).topics[MARGIN_CALC].partitions
        self.consumer.assign([TopicPartition(MARGIN_CALC, p, OFFSET_END) for p in partitions])

    def run(self) -> None:
        while not self.ended.is_set():
            for message in self.consumer.consume(5_000, 0.03):
                if message.key() == PROBE.encode():
                    self.had[orjson.loads(message.value() or b"{}")["excess"]] = time.time() * 1000
        self.consumer.close()


@contextmanager
def server(bootstrap: str) -> Iterator[tuple[str, psutil.Process]]:
    command = [
        sys.executable,
        "-m",
        "margin_platform.cli",
        "dashboard",
        "--json",
        "--bootstrap",
        bootstrap,
        "--port",
        "0",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def heap_mb(session: CDPSession) -> float:
    """Return the page's JavaScript heap after a collection."""
    session.send("HeapProfiler.collectGarbage")
    metrics = session.send("Performance.getMetrics")["metrics"]
    return round(next(m["value"] for m in metrics if m["name"] == "JSHeapUsedSize") / 1e6, 1)


def look_around(page: Page) -> None:
    """Open the other views, as a reader does: what one of them leaves behind shows in the next heap."""
    for view in (f"account/{PROBE}", "firm", "feed", "accounts"):
        page.evaluate("(view) => { location.hash = `#/${view}`; }", view)
        page.wait_for_timeout(VIEW_SECONDS * 1000)


def seed(bus: Bus, accounts: int) -> None:
    base = template()
    for number in range(accounts):
        bus.produce(MARGIN_CALC, event_of(base, number, round(number * 0.9 - 3_000, 2), OPENING))
    bus.produce(MARGIN_CALC, base | {"account_id": PROBE, "excess": -9e8})
    exposure = base["beta_weighted_exposure"]
    lanes = [figure for name in ("stress_pnl", "stress_unsecured", "stress_calls") for figure in base[name]]
    totals = [exposure, abs(exposure), base["total_mv"], *lanes]
    for event in firm_rows(current_policy(), totals, 1, OPENING, lambda _: []):
        bus.produce(FIRM_RISK, event)
    bus.flush()


def probe(
    page: Page, bus: Bus, seconds: float, session: CDPSession
) -> tuple[dict[float, float], list[float]]:
    """Send a probe every half second; return when each was sent (epoch ms), and the heap a dozen times, after
    a look around.
    """
    base, sent, heaps, end, number = template(), {}, [], time.monotonic() + seconds, 0
    heap_due = time.monotonic()
    while time.monotonic() < end:
        number += 1
        excess = -9e8 - number
        sent[excess] = time.time() * 1000
        at = OPENING + number
        bus.produce(
            MARGIN_CALC, base | {"account_id": PROBE, "excess": excess, "timestamp": at, "calc_timestamp": at}
        )
        bus.flush()
        page.wait_for_timeout(PROBE_SECONDS * 1000)
        if time.monotonic() >= heap_due:
            look_around(page)
            heaps.append(heap_mb(session))
            heap_due += seconds / 12
    page.wait_for_timeout(2_000)
    return sent, heaps


def shown(excess: float) -> str:
    """Format the excess as the grid writes it."""
    return f"{excess:,.2f}".replace("-", "\N{MINUS SIGN}")


def waits(sent: dict[float, float], painted: dict[float, float]) -> tuple[list[float], int]:
    """Return milliseconds from each probe to the first paint of it or of a newer one, and how many a newer
    one replaced unpainted.

    A probe replaced before its paint is one that waited long; leaving it out would flatter the median.
    """
    found, first, replaced = [], None, 0
    for excess in sorted(sent):  # the newest has the lowest excess
        at = painted.get(excess)
        first = at if first is None else min(first, at or first)
        replaced += at is None and first is not None
        if first is not None:
            found.append(first - sent[excess])
    return found, replaced


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"n": len(ordered), "p50": round(statistics.median(ordered)), "p99": round(p99)}


def measure(
    page: Page, url: str, process: psutil.Process, bootstrap: str, given: argparse.Namespace
) -> dict[str, Any]:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    began = time.monotonic()
    page.goto(url)
    while not page.evaluate(
        f"marginPage.store?.size === {given.accounts + 1} && document.documentElement.dataset.live === 'true'"
    ):
        page.wait_for_timeout(100)
    loaded = time.monotonic() - began
    page.evaluate(_WATCH)
    child = [
        sys.executable,
        "-m",
        "bench.dashboard",
        "--producer",
        bootstrap,
        "--accounts",
        str(given.accounts),
        "--rate",
        str(given.rate),
    ]
    load = subprocess.Popen([*child, "--seconds", str(given.seconds + 20)], stdout=subprocess.PIPE, text=True)
    with Bus(bootstrap) as bus:
        bare = BareConsumer(bootstrap)
        bare.start()
        page.wait_for_timeout(4_000)  # the load has set in
        cpu, wall = sum(process.cpu_times()[:2]), time.monotonic()
        sent, heaps = probe(page, bus, given.seconds, session)
        share = (sum(process.cpu_times()[:2]) - cpu) / (time.monotonic() - wall)
        gaps = page.evaluate(_SCROLL, 5)
        bare.ended.set()
        bare.join()
    changes = int(load.communicate()[0])
    paints = page.evaluate("paints")
    on_screen, replaced = waits(sent, {e: paints[shown(e)] for e in sent if paints.get(shown(e))})
    in_python = [bare.had[e] - at for e, at in sent.items() if e in bare.had]
    return {
        "accounts": given.accounts,
        "changes_per_second": round(changes / (given.seconds + 20)),
        "seconds": given.seconds,
        "load_s": round(loaded, 1),
        "event_to_cell_ms": quantiles(on_screen),
        "event_to_bare_consumer_ms": quantiles(in_python),
        "cell_over_bare_p50": round(statistics.median(on_screen) / statistics.median(in_python), 1),
        "probes": len(sent),
        "replaced_before_paint": replaced,
        "not_shown_by_the_end": len(sent) - len(on_screen),
        "server_cores": round(share, 2),
        "server_memory_mb": round(process.memory_info().rss / 1e6),
        "page_heap_mb": heaps,
        "scroll_frame_ms": quantiles(gaps),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--rate", type=int, default=5_000, help="changes a second (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="how long to probe (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one line of JSON; the same as without")
    parser.add_argument("--producer", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.producer:
        produce(given.producer, given.accounts, given.rate, given.seconds)
        return 0
    with tempfile.TemporaryDirectory(prefix="dashboard-") as name, sync_playwright() as playwright:
        kafka = broker.start(Path(name) / "kafka", port=ports.any_free())
        try:
            topic_admin.create(kafka.bootstrap)
            with Bus(kafka.bootstrap) as bus:
                seed(bus, given.accounts)
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            with server(kafka.bootstrap) as (url, process):
                page = chromium.new_page(viewport={"width": 1600, "height": 950})
                page.set_default_timeout(120_000)
                print(json.dumps(measure(page, url, process, kafka.bootstrap, given)))
                chromium.close()
        finally:
            kafka.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
