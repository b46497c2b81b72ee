"""kill -9 of the real driver, again and again:
the final state is the one of an undisturbed run, nothing lost, nothing doubled.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from deltalake import DeltaTable
from prometheus_client.parser import text_string_to_metric_families
from pyspark.sql import SparkSession

from margin_platform.contracts.messages import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS, TOPICS, Event
from margin_platform.kafka.bus import Bus
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.stack import ports
from margin_platform.stack.status import stream_figures
from tests.support.market_day import seed, send, tick
from tests.support.shard_state import margin_engine

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
ROOT = Path(__file__).parents[2]


def undisturbed(bus: Bus) -> MarginEngine:
    """The engine fed with everything on the topics in one go."""
    engine = MarginEngine(load(), current_policy())
    engine.process([r for topic in TOPICS_IN_ORDER for r in bus.read_all(topic)], 0)
    return engine


def newest(events: list[Event]) -> dict[str, Event]:
    return {
        e["account_id"]: e
        for e in sorted(events, key=lambda e: (e["calc_timestamp"], e["inputs"]["batch_id"]))
    }


def applied(bus: Bus, driver: Any) -> bool:
    """Whether the batches told of reached the end of every input topic."""
    reached: dict[tuple[str, str], int] = {}
    for told in driver.batches:
        if told["stream"] == "margin_snapshots":
            reached |= {(t, p): offset for t, parts in told["offsets"].items() for p, offset in parts.items()}
    ends = {(t, str(p)): o for t in TOPICS_IN_ORDER for p, o in bus.end_offsets(t).items()}
    return reached == ends


def its_figures_are_served(url: str, driver: Any, until: Callable[..., Any]) -> None:
    """The endpoint repeats the progress lines, and serves every metric that an alert rule names."""
    until(
        lambda: (rows := stream_figures.read(url)["streams"]) and rows[0]["lag"] == 0,
        "a lag of 0 at the endpoint",
    )
    told = [batch for batch in driver.batches if batch["stream"] == "margin_snapshots"]
    records = sum(batch["rows"] for batch in told)
    until(
        lambda: stream_figures.read(url)["streams"][0]["records"] >= records,
        "the records of every line printed",
    )
    (row,) = stream_figures.read(url)["streams"]
    assert row["stream"] == "margin_snapshots"
    assert row["rows"] >= sum(batch["assets"]["margin_snapshots"]["rows"] for batch in told) > 0
    assert (row["dead_letters"], row["oldest_input_seconds"]) == (0, 0)
    assert row["state_bytes"] > 0
    assert 0 <= row["state_age_seconds"] < 300
    assert 0 < row["batch_seconds"] < 60
    text = httpx.get(url).text
    served = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    rules = yaml.safe_load((ROOT / "docs" / "prometheus-alerts.yaml").read_text(encoding="utf-8"))["groups"][
        0
    ]["rules"]
    named = {
        name for rule in rules for name in re.findall(r"(?:margin_stream|process)_[a-z_]+", rule["expr"])
    }
    assert {"margin_stream_lag_records", "margin_stream_batch_seconds_bucket"} <= named
    assert named <= served


def kill_python(driver: Any) -> None:
    """kill -9 of the Python processes that have the shards."""
    for child in psutil.Process(driver.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "pyspark.worker" in child.cmdline():
                child.kill()


def test_killing_the_driver_at_any_moment_loses_and_doubles_nothing(
    bus: Bus,
    work: Path,
    spark_session: SparkSession,
    start_driver: Callable[..., Any],
    until: Callable[..., Any],
    events_of: Callable[[str], list[Event]],
) -> None:
    driver = start_driver(bus.bootstrap)
    send(bus, seed(60))
    until(lambda: driver.batches, "a first batch")
    driver.kill()  # before or just after the first batch was committed
    for step in range(1, 8):
        send(bus, tick(step))
    driver = start_driver(bus.bootstrap)
    until(lambda: driver.batches, "a batch after the kill")
    for step in range(8, 16):
        send(bus, tick(step))
    seen = len(driver.batches)
    until(lambda: len(driver.batches) > seen, "another batch")
    driver.kill()  # with records unread
    send(bus, tick(16))
    port = ports.any_free()
    driver = start_driver(bus.bootstrap, "--metrics-port", str(port))
    until(lambda: driver.batches, "a batch of the third driver")
    for step in range(17, 21):
        send(bus, tick(step))
        kill_python(driver)  # in the middle of a batch or between two: Spark tries the task again
    until(lambda: applied(bus, driver), "everything applied")
    its_figures_are_served(f"http://127.0.0.1:{port}/metrics", driver, until)
    assert driver.end_input() == 0  # its parent is gone: it stops by itself

    expected = undisturbed(bus)
    calc, status = events_of(MARGIN_CALC), events_of(MARGIN_STATUS)
    by_id: dict[str, Event] = {}
    for event in calc:
        assert by_id.setdefault(event["calc_id"], event) == event, "a repeated id carries other figures"
    assert len({e["calc_id"] + e["band"] for e in status}) == len({e["calc_id"] for e in status})
    found = newest(calc)
    book = expected.ledger.book(expected.code_of)
    assert set(found) == set(book.account_ids)
    for account, event in found.items():
        assert event["cash"] == round(expected.ledger.cash(account), 2)
        assert event["calc_timestamp"] == expected.event_time
    kept = margin_engine(spark_session, work / "checkpoints")
    offsets = [{topic: e.next_offset[topic] for topic in TOPICS_IN_ORDER} for e in (kept, expected)]
    assert offsets[0] == offsets[1]
    assert kept.event_time == expected.event_time
    assert kept.live.price_time.tolist() == expected.live.price_time.tolist()
    assert kept.market.price.tolist() == pytest.approx(expected.market.price.tolist(), nan_ok=True)
    holdings = [
        {a: (e.ledger.cash(a), e.ledger.positions(a)) for a in e.ledger.account_ids()}
        for e in (kept, expected)
    ]
    assert holdings[0] == holdings[1]
    bands = [
        {a: int(e.emission.bands(e.ledger.number_of(a))) for a in e.ledger.account_ids()}
        for e in (kept, expected)
    ]
    assert bands[0] == bands[1]
    assert events_of(DEAD_LETTER) == []
    table = DeltaTable(str(work / "tables" / "margin_snapshots")).to_pandas()
    # a batch that was repeated after a kill publishes the same events again, and is read as any other
    published = Counter(event["calc_id"] for event in calc)
    assert all(published[calc_id] >= n for calc_id, n in Counter(table["calc_id"]).items())
    assert set(TOPICS_IN_ORDER) <= set(TOPICS)


def test_a_driver_without_a_broker_says_so_and_exits_with_1(
    work: Path, start_driver: Callable[..., Any]
) -> None:
    driver = start_driver("127.0.0.1:1")
    assert driver.process.wait(120) == 1
    assert "127.0.0.1:1" in (work / "driver.log").read_text()
