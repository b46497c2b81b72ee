"""What the demo counts as seen, on a real broker and real tables:
its exit code is 0 only when nothing is missing.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from rich.console import Console

from margin_platform.cli.demo_screen import screen_of
from margin_platform.contracts import messages as e
from margin_platform.demo.monitor import STAGES, Monitor
from margin_platform.demo.run import look_after_the_end
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy
from margin_platform.settings import STREAM_TABLES
from margin_platform.table_storage import storage_options

pytestmark = pytest.mark.kafka

_WHO = {"account_id": "A", "correlation_id": "C", "timestamp": 1_582_205_400_000}
_CALL = {**_WHO, "call_id": "C1", "deficiency": 10.0}
# an event in every topic, and not one that a demo is there to show
LOOKS_LIKE_SUCCESS: dict[str, list[e.Event]] = {
    e.MARGIN_CALLS: [{**_CALL, "action": "WARNING"}],
    e.RESTRICTIONS: [{**_WHO, "action": "LIFTED"}],
    e.LIQUIDATION_ORDERS: [{**_WHO, "order_id": "O1", "action": "CANCEL"}],
    e.NOTIFICATIONS: [{**_WHO, "status": "HELD"}, {**_WHO, "status": "UNDELIVERED"}],
    e.FILLS: [{**_WHO, "fill_id": "F1", "symbol": "KO", "qty": 1.0, "price": 50.0}],
}
SUCCESS: dict[str, e.Event] = {
    "MARGIN_CALL": {**_CALL, "action": "MARGIN_CALL"},
    "CLOSE_ONLY": {**_WHO, "action": "CLOSE_ONLY"},
    "orders": {
        **_WHO,
        "order_id": "O2",
        "action": "NEW",
        "positions": [{"symbol": "KO", "side": "SELL", "qty": 1.0}],
    },
    "simulated fills": {
        **_WHO,
        "fill_id": "F2",
        "symbol": "KO",
        "qty": -1.0,
        "price": 49.0,
        "venue": "SIMULATED",
    },
    "DELIVERED notices": {**_WHO, "status": "DELIVERED"},
}
TOPIC_OF = dict(
    zip(
        SUCCESS, (e.MARGIN_CALLS, e.RESTRICTIONS, e.LIQUIDATION_ORDERS, e.FILLS, e.NOTIFICATIONS), strict=True
    )
)


def test_every_stage_is_missing_until_it_did_its_work(bus: Bus, tmp_path: Path) -> None:
    def missing() -> set[str]:
        bus.flush()
        monitor.read()
        while any(bus.end_offsets(topic) != at for topic, at in monitor.positions.items()):
            monitor.read()  # it takes what has arrived, and waits for nothing
        return set(monitor.snapshot()["missing"])

    # of an earlier demo on the same topics
    bus.produce(e.PRICES, {"symbol": "KO", "price": 50.0, "timestamp": 1})
    bus.flush()
    monitor = Monitor(bus, str(tmp_path))
    rows = {f"rows of {table}" for table in STREAM_TABLES}
    assert missing() == {*STAGES, *SUCCESS, *rows}
    for topic in STAGES:
        for event in LOOKS_LIKE_SUCCESS.get(
            topic, [{**_WHO, "symbol": "KO", "status": "ACTIVE", "scenario": "-0.06"}]
        ):
            bus.produce(topic, event)
    for table in STREAM_TABLES:
        # made, and empty
        write_deltalake(str(tmp_path / table), pa.table({"batch_id": pa.array([], pa.int64())}))
    assert missing() == {*SUCCESS, *rows}
    for stage, event in SUCCESS.items():
        bus.produce(TOPIC_OF[stage], event)
    assert missing() == rows
    for table in STREAM_TABLES:
        write_deltalake(str(tmp_path / table), pa.table({"batch_id": [0]}), mode="append")
    assert missing() == set()


def test_rows_of_tables_in_a_bucket_are_seen(
    bus: Bus, aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "MARGIN_S3_ENDPOINT": aws_endpoint}
    for name, value in login.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", endpoint_url=aws_endpoint, region_name="us-east-1").create_bucket(Bucket="demo")
    monitor = Monitor(bus, "s3://demo/tables")
    assert f"rows of {STREAM_TABLES[0]}" in monitor.snapshot()["missing"]
    where = f"s3://demo/tables/{STREAM_TABLES[0]}"
    write_deltalake(where, pa.table({"batch_id": [0]}), storage_options=storage_options(where))
    assert f"rows of {STREAM_TABLES[0]}" not in monitor.snapshot()["missing"]


def test_after_the_replay_the_screen_goes_on_with_what_still_happens(bus: Bus, tmp_path: Path) -> None:
    """Orders and notices follow the last price: each look shows them, and says that the replay ended."""
    monitor = Monitor(bus, str(tmp_path))
    screens: list[str] = []
    limits = {"limits": current_policy().firm.model_dump()}
    look = look_after_the_end(monitor, lambda figures: screens.append(text_of(screen_of(figures | limits))))
    for delivered in (1, 2):
        bus.produce(e.NOTIFICATIONS, {**_WHO, "notification_id": f"N{delivered}", "status": "DELIVERED"})
        bus.flush()
        while not re.search(rf"notices delivered\s+{delivered}\b", screens[-1] if screens else ""):
            look()
    assert all("replay ended" in shown for shown in screens)


def text_of(screen: object) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(screen)
    return out.getvalue()
