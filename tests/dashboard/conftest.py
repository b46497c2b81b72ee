"""The dashboard's tests: a real broker, the real server as a child process, and Debian's Chromium.

Events are those the streams publish: a small firm's records go through the margin engine and its outcome to
the topics.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from margin_platform.contracts.messages import TOPICS, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.bus import Bus
from margin_platform.market import instruments
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome
from tests.support.firm_of_figures import FirmOfFigures

OPENING = 1_584_019_800_000  # 2020-03-12 09:30 New York, epoch milliseconds
PRICES = {"AAPL": 62.0, "JPM": 88.0, "XOM": 37.0, "SPY": 248.0, "SIMINV": 50.0, "AMD": 43.0}
BETAS = {"AAPL": 1.2, "JPM": 1.1, "XOM": 0.9, "SPY": 1.0, "SIMINV": -1.0, "AMD": 1.8}
SIGMAS = {"AAPL": 0.45, "AMD": 0.65, "SPY": 0.3}
RUN = "3f6c1c1e-5d0a-4f7e-9d3e-0a1b2c3d4e5f"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@dataclass
class Firm:
    """Six accounts of the sample names, marked by the margin engine;
    `tick` moves prices and returns what the stream would publish.
    """

    clock: int = OPENING
    batch: int = 0
    offsets: dict[str, int] = field(default_factory=dict)
    processed: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policy = current_policy()
        self.engine = MarginEngine(instruments.load(), self.policy)
        self.firm = FirmOfFigures(self.policy)

    def record(self, topic: str, event: Event) -> Record:
        offset = self.offsets[topic] = self.offsets.get(topic, -1) + 1
        return Record(topic, 0, offset, None, encode(event | {"timestamp": self.clock}), self.clock)

    def open(self) -> Outcome:
        """Books and opening prices: green by a wide margin, near the line, hedged, leveraged, one named by
        a villain.
        """
        records = [self.record("prices.v1", {"symbol": s, "price": p}) for s, p in PRICES.items()]
        records += [self.record("betas.v1", {"symbol": s, "beta": b}) for s, b in BETAS.items()]
        records += [
            self.record("volatility.v1", {"symbol": s, "volatility_annual": v}) for s, v in SIGMAS.items()
        ]
        books = {
            "GREEN-1": ("REG_T", 50_000.0, {"AAPL": 200, "JPM": 100, "XOM": 300}),
            "EDGE-2": ("REG_T", -62_000.0, {"AAPL": 1_000, "JPM": 300, "XOM": 500}),
            "HEDGED-3": ("PORTFOLIO", -60_000.0, {"SPY": 1_500, "SIMINV": 4_000}),
            "LEVERED-4": ("PORTFOLIO", -3_100_000.0, {"SPY": 8_000, "AAPL": 25_000}),
            "SHORT-5": ("REG_T", 150_000.0, {"AMD": -1_000, "JPM": -300}),
            HOSTILE: ("REG_T", 20_000.0, {"XOM": 500}),
        }
        for account, (kind, cash, held) in books.items():
            records.append(self.record("accounts.v1", {"account_id": account, "margin_type": kind}))
            spent = sum(q * PRICES[s] for s, q in held.items())
            records.append(
                self.record(
                    "cash.v1", {"account_id": account, "transfer_id": f"T-{account}", "amount": cash + spent}
                )
            )
            for symbol, qty in held.items():
                fill = {
                    "account_id": account,
                    "fill_id": f"F-{account}-{symbol}",
                    "symbol": symbol,
                    "qty": qty,
                    "price": PRICES[symbol],
                }
                records.append(self.record("fills.v1", fill))
        return self._process(records)

    def tick(self, **prices: float) -> Outcome:
        """A minute later, at these prices."""
        self.clock += 60_000
        return self._process([self.record("prices.v1", {"symbol": s, "price": p}) for s, p in prices.items()])

    def _process(self, records: list[Record]) -> Outcome:
        self.batch += 1
        outcome = self.engine.process(records, self.batch)
        assert not outcome.dead
        self.firm.update(outcome.calc)
        self.processed += records
        return outcome

    def publish(self, bus: Bus, outcome: Outcome) -> Outcome:
        """What went in, then what the stream makes of it: decisions first, then figures, then the firm."""
        for record in self.processed:
            bus.produce_raw(
                record.topic, record.value or b"", orjson.loads(record.value or b"")[TOPICS[record.topic].key]
            )
        self.processed.clear()
        bus.flush()
        published = {
            "margin.status.v1": outcome.status,
            "margin.calc.v1": outcome.calc,
            "stress.beta_spy.v1": outcome.stress,
            "firm.risk.v1": self.firm.events(),
        }
        for topic, events in published.items():
            for event in events:
                bus.produce(topic, event)
        bus.flush()
        return outcome

    def ladder(self, bus: Bus) -> None:
        """What enforcement, liquidation and notification would publish about LEVERED-4, one after the
        other, as plain contract events.
        """

        def tell(topic: str, event: Event) -> None:
            bus.produce(topic, event)
            bus.flush()
            told_at = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 == told_at:
                pass  # Kafka's times are whole milliseconds: the next step has a later one

        shared = {"account_id": "LEVERED-4", "correlation_id": "EP-1", "run_id": RUN, "timestamp": self.clock}
        call = shared | {
            "call_id": "MC-1",
            "causation_id": "CALC-1",
            "deficiency": 201_650.0,
            "due_at": "2020-03-18T15:00:00-04:00",
        }
        tell(
            "margin.calls.v1",
            call | {"action": "MARGIN_CALL", "explanation": "Equity is 201,650.00 below the requirement."},
        )
        tell("restrictions.v1", shared | {"action": "CLOSE_ONLY", "reason": "severe deficiency"})
        request = {
            "action": "LIQUIDATE",
            "explanation": "Deficiency above half of the requirement.",
            "event_id": "LQ-1",
            "attempt": 1,
        }
        tell("margin.calls.v1", call | request | {"positions": []})
        sale = {"symbol": "AAPL", "side": "SELL", "qty": 24_443, "estimated_proceeds": 1_344_365.0}
        order = {
            "order_id": "LO-1",
            "positions": [sale],
            "reason": "restore compliance",
            "deficiency": 201_650.0,
            "excess_after": 4.75,
        }
        tell("liquidation.orders.v1", shared | order)
        for channel, state in (("sms", "DELIVERED"), ("email", "FAILED")):
            notice = {
                "notification_id": f"N-{channel}",
                "rung": "margin.calls.v1:MARGIN_CALL:0",
                "channel": channel,
                "status": state,
                "subject": "Margin call on account LEVERED-4",
            }
            tell("notifications.v1", shared | notice)


@dataclass
class Server:
    """A running `margin dashboard` process."""

    process: BaseProcess
    url: str
    port: int

    def get(self, path: str, **params: Any) -> Any:
        return httpx.get(self.url + path, params=params, timeout=10).json()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(timeout=15)

    def stop(self) -> int | None:
        self.process.terminate()
        self.process.join(timeout=15)
        return self.process.exitcode


Start = Callable[..., Server]

# Forked from a process that has imported it already: four seconds of each start are Python's imports, and the
# tests start it fifty times.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["margin_platform.cli.dashboard", "margin_platform.dashboard.server.serving"])


def _run(arguments: tuple[str, ...], environment: dict[str, str], output: Connection) -> None:
    """In the child: the program as it is, with its standard output in our pipe."""
    from margin_platform.cli import app

    for name in [name for name in os.environ if name.startswith("MARGIN_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.dup2(output.fileno(), 1)
    app(["dashboard", "--json", *arguments])


def launch(*arguments: str, **more: str) -> Server:
    """A dashboard process; `more` are environment variables of its settings."""
    output, inlet = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_run, args=(arguments, more, inlet), daemon=True)
    process.start()
    inlet.close()
    with os.fdopen(os.dup(output.fileno())) as lines:
        line = lines.readline()
    assert line, "the dashboard ended before it listened"
    said = orjson.loads(line)
    return Server(process, said["url"].rstrip("/"), said["port"])


@pytest.fixture
def start(fresh_topics: str) -> Iterator[Start]:
    """Starts dashboards on the test's broker; all of them end with the test."""
    started: list[Server] = []

    def begin(*arguments: str, port: int = 0, **more: str) -> Server:
        server = launch("--bootstrap", fresh_topics, "--port", str(port), *arguments, **more)
        started.append(server)
        return server

    yield begin
    for server in started:
        if server.process.is_alive():
            server.stop()


@pytest.fixture
def firm() -> Firm:
    return Firm()


@pytest.fixture(scope="module")  # while it lives its event loop runs in this thread, and no other can
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("chromium: not found; `make test` installs Debian's, or apt-get install chromium")
    with sync_playwright() as playwright:
        expect.set_options(timeout=30_000)  # a loaded machine is slow, not wrong
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A fresh tab that fails the test on any script error or violation of the content security policy."""
    context = browser.new_context(
        viewport={"width": 1600, "height": 950}, color_scheme="dark", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda m: (
            complaints.append(m.text)
            if m.type == "error"
            and "ERR_CONNECTION" not in m.text
            and "WebSocket connection" not in m.text
            and "404" not in m.text
            and "400" not in m.text
            and "401" not in m.text
            else None
        ),
    )
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: docs/images only when MARGIN_SCREENSHOTS asks for it, so that a test run
    leaves the tree clean.
    """
    if os.environ.get("MARGIN_SCREENSHOTS"):
        folder = Path(__file__).parents[2] / "docs" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return tmp_path
