"""The streams on a cluster: Spark's own, a master and two workers, one of them killed in mid-run, and
what Kubernetes is asked for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable

from margin_platform.contracts.messages import DEAD_LETTER, MARGIN_CALC, MARGIN_STATUS, PRICES, Event
from margin_platform.jars.resolve import spark_classpath
from margin_platform.kafka.bus import Bus
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.input_records import TOPICS_IN_ORDER
from margin_platform.snapshots.shards import Shard
from margin_platform.stack import ports, processes
from margin_platform.stack.spark_cluster import SPARK_HOME, SparkCluster
from tests.support.market_day import OPEN, PRICE, seed, send, tick

pytestmark = [pytest.mark.kafka, pytest.mark.spark, pytest.mark.nightly]
ROOT = Path(__file__).parents[2]
# which batch computed a figure depends on how the batches fell
NAMES_OF_A_RUN = {"calc_id", "inputs", "batch_id"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SparkCluster]:
    running = SparkCluster(tmp_path / "cluster")
    try:
        running.start()
        yield running
    finally:
        running.stop()


def fall(share: float) -> list[tuple[str, Event]]:
    """Every name this much below its first price, as the day's last prices:
    no account's figures stay as they were.
    """
    return [
        (PRICES, {"symbol": s, "price": round(p * (1 - share), 4), "timestamp": OPEN + 60_000})
        for s, p in PRICE.items()
    ]


def figures(event: Event) -> Event:
    return {name: value for name, value in event.items() if name not in NAMES_OF_A_RUN}


def newest(events: list[Event]) -> dict[str, Event]:
    """By account, the figures without the names of the batch that made them."""
    ordered = sorted(events, key=lambda e: (e["calc_timestamp"], e["inputs"]["batch_id"]))
    return {e["account_id"]: figures(e) for e in ordered}


def undisturbed(bus: Bus) -> tuple[dict[str, Event], dict[str, str]]:
    """By account, the figures and the band of an engine of this process that is fed with everything on the
    topics in one go.
    """
    engine = MarginEngine(load(), current_policy(), Shard())  # its clock is the market's
    outcome = engine.process([r for topic in TOPICS_IN_ORDER for r in bus.read_all(topic)], 0)
    return {e["account_id"]: figures(e) for e in outcome.calc}, {
        e["account_id"]: e["band"] for e in outcome.status
    }


def of_each(work: Path) -> pd.DataFrame:
    """The newest row of each account in the table."""
    table = DeltaTable(str(work / "tables" / "margin_snapshots")).to_pandas()
    return table.sort_values("batch_id").groupby("account_id").last()


def of_all(expected: dict[str, Event], column: str) -> dict[str, Any]:
    return {account: event[column] for account, event in expected.items()}


def test_two_workers_give_the_figures_of_one_process_and_one_may_die(
    bus: Bus,
    work: Path,
    cluster: SparkCluster,
    start_driver: Callable[..., Any],
    until: Callable[..., Any],
    events_of: Callable[[str], list[Event]],
) -> None:
    driver = start_driver(bus.bootstrap, "--master", cluster.master, "--shards", "2")
    send(bus, seed(60))
    until(lambda: driver.batches, "a first batch")
    assert [worker["coresused"] for worker in cluster.state()["workers"]] == [1, 1]  # an executor on each
    for step in range(1, 5):
        send(bus, tick(step))
    cluster.kill("worker-1")
    for step in range(5, 9):
        send(bus, tick(step))
    seen = len(driver.batches)
    until(lambda: len(driver.batches) > seen, "a batch after a worker died")
    send(bus, fall(0.1))
    expected, bands = undisturbed(bus)
    until(
        lambda: newest(events_of(MARGIN_CALC)) == expected,
        "every account's figures those of the recomputation",
    )
    until(lambda: cluster.state()["aliveworkers"] == 1, "the master to miss a worker")
    until(
        lambda: of_each(work)["calc_timestamp"].to_dict() == of_all(expected, "calc_timestamp"),
        "the newest figures in the table",  # it is appended to every ten seconds
    )
    assert driver.end_input() == 0

    calc, status = events_of(MARGIN_CALC), events_of(MARGIN_STATUS)
    assert len({e["calc_id"] for e in calc}) == len(calc)
    assert len({e["calc_id"] for e in status}) == len(status)
    assert {
        e["account_id"]: e["band"] for e in sorted(status, key=lambda e: e["inputs"]["batch_id"])
    } == bands
    assert events_of(DEAD_LETTER) == []
    table = DeltaTable(str(work / "tables" / "margin_snapshots")).to_pandas()
    assert not table["calc_id"].duplicated().any()
    for column in ("equity", "requirement", "excess", "status", "calc_timestamp"):
        assert of_each(work)[column].to_dict() == of_all(expected, column), column


def test_a_driver_that_a_service_submits_takes_its_placement_from_there(
    bus: Bus, tmp_path: Path, until: Callable[..., Any]
) -> None:
    """What EMR Serverless does: `spark-submit` of the streams' file with the connector's jars, settings in
    the environment.
    """
    settings = {
        "MARGIN_ENVIRONMENT": "aws",
        "MARGIN_KAFKA": bus.bootstrap,
        "MARGIN_DATA": str(tmp_path / "data"),
        "PYTHONPATH": str(ROOT),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": ports.HOST,
    }
    submit = [
        str(SPARK_HOME / "bin" / "spark-submit"),
        "--master",
        "local[1]",
        "--jars",
        ",".join(spark_classpath()),
    ]
    driver = processes.start(
        [*submit, str(ROOT / "spark" / "driver.py"), "--only", "margin_snapshots"],
        settings,
        tmp_path / "driver.log",
    )
    try:
        send(bus, seed(3))
        expected, _ = undisturbed(bus)
        until(
            lambda: newest([json.loads(r.value or b"") for r in bus.read_all(MARGIN_CALC)]) == expected,
            "the figures of all accounts",
        )
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()


class KubernetesApi(BaseHTTPRequestHandler):
    """As much of Kubernetes as Spark needs to ask for executors:
    what is posted is kept and echoed, nothing is ever listed.
    """

    asked: list[tuple[str, dict[str, Any]]] = []

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self._answer(
            200, {"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
        )

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path.partition("?")[0], body))
        self._answer(201, body)

    def _answer(self, code: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        return


def test_kubernetes_is_asked_for_executor_pods_by_settings_alone(
    tmp_path: Path, until: Callable[..., Any]
) -> None:
    server = ThreadingHTTPServer((ports.HOST, 0), KubernetesApi)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = {
        "MARGIN_ENVIRONMENT": "cluster",
        "MARGIN_SPARK_MASTER": f"k8s://http://{ports.HOST}:{server.server_port}",
        "MARGIN_SPARK_IMAGE": "registry.example/margin:1",
        "MARGIN_SPARK_NAMESPACE": "risk",
        "MARGIN_SPARK_EXECUTOR_MEMORY": "600m",
    }
    start = (
        "from spark.session import build; from margin_platform.settings import settings; build('margin', "
        "settings().spark.master)"
    )
    driver = processes.start([sys.executable, "-c", start], settings, tmp_path / "driver.log")
    try:
        pods = until(
            lambda: [body for path, body in KubernetesApi.asked if path == "/api/v1/namespaces/risk/pods"],
            "a pod asked for",
        )
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        server.shutdown()
    [executor] = pods[0]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in executor["env"]}
    assert pods[0]["metadata"]["labels"]["spark-role"] == "executor"
    assert executor["image"] == "registry.example/margin:1"
    assert environment["SPARK_EXECUTOR_MEMORY"] == "600m"
    assert environment["SPARK_DRIVER_URL"].startswith("spark://CoarseGrainedScheduler@127.0.0.1:")
