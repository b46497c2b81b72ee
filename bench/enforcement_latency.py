"""margin.status.v1 produced -> body of the enforcement op running:
the fork-server launcher against Dagster's own.

A real broker, code server and daemon for each launcher; lone events, some seconds apart, so that every one
meets a waiting sensor; then the same code location and storage with the other launcher. Prints p50 and p99 of
each and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEventType

from margin_platform.contracts.messages import MARGIN_STATUS, PRICES, TOPICS
from margin_platform.kafka import topic_admin
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration import dagster_home
from margin_platform.settings import settings
from margin_platform.stack import broker, ports
from margin_platform.store.store import Store

ROOT = Path(__file__).parents[1]
JOB = "enforcement"
WARM_UP = 2  # events not counted: the first start of a worker is cold
# The sensor daemon looks every 5 s, and a run stays for 10 s: a lone event comes after both.
GAP_SECONDS = 17.0


def status(number: int) -> dict[str, Any]:
    return {
        "account_id": f"A{number}",
        "calc_id": f"calc-{number}",
        "timestamp": 1_582_210_800_000 + number,
        "gross_mv": 1e5,
        "equity": 24e3,
        "requirement": 25e3,
        "excess": -1e3,
        "cash": -76e3,
        "margin_type": "REG_T",
        "positions": [],
    }


@contextmanager
def running(home: Path, bootstrap: str) -> Iterator[None]:
    """Run code server and daemon on a DAGSTER_HOME; stop them at the end."""
    environment = {
        **os.environ,
        **dagster_home.ENVIRONMENT,
        "DAGSTER_HOME": str(home),
        "MARGIN_KAFKA": bootstrap,
        "MARGIN_DATA": str(home / "data"),
    }
    (home / "data").mkdir(exist_ok=True)
    Store(settings(environment).store_url).close()
    with (home / "daemon.log").open("w") as log:
        daemon = subprocess.Popen(
            [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def begun(instance: dg.DagsterInstance, end: int, timeout_s: float = 90.0) -> float:
    """Return epoch seconds at which the op of the run whose span ends at this offset started."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for record in instance.get_run_records(dg.RunsFilter(job_name=JOB), limit=5):
            if record.dagster_run.tags.get("kafka/span", "").endswith(f"-{end}"):
                starts = instance.event_log_storage.get_logs_for_run(
                    record.dagster_run.run_id, of_type=DagsterEventType.STEP_START
                )
                if starts:
                    return starts[0].timestamp
        time.sleep(0.1)
    raise TimeoutError(f"no run started for offset {end - 1}")


def measure(launcher: dagster_home.Launcher, folder: Path, bootstrap: str, events: int) -> list[float]:
    """Return latencies in seconds, one per event after the warm-up."""
    home = folder / launcher
    dagster_home.prepare(home, launcher=launcher)
    # without prices.v1 the streams and timers stay asleep
    topic_admin.recreate(bootstrap, [t for t in TOPICS if t != PRICES])
    latencies = []
    with (
        running(home, bootstrap),
        dg.DagsterInstance.from_config(str(home)) as instance,
        Bus(bootstrap) as bus,
    ):
        for number in range(WARM_UP + events):
            produced = time.time()
            bus.produce(MARGIN_STATUS, status(number))
            bus.flush()
            latencies.append(begun(instance, number + 1) - produced)
            print(f"{launcher}: event {number} {latencies[-1]:.2f} s", file=sys.stderr, flush=True)
            time.sleep(GAP_SECONDS)
    return latencies[WARM_UP:]


def figures(latencies: list[float]) -> dict[str, float]:
    ordered = sorted(latencies)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        "n": len(ordered),
        "p50": round(statistics.median(ordered), 3),
        "p99": round(p99, 3),
        "min": round(ordered[0], 3),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=12, help="events per launcher (default %(default)s)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka = broker.start(folder / "kafka", port=ports.any_free(), environment={})
        try:
            topic_admin.create(kafka.bootstrap, [t for t in TOPICS if t != PRICES])
            results = {
                kind: figures(measure(kind, folder, kafka.bootstrap, given.events))
                for kind in ("fork", "default")
            }
        finally:
            kafka.stop()
    ratio = round(results["default"]["p50"] / results["fork"]["p50"], 1)
    if given.json:
        print(json.dumps({"seconds": results, "default_over_fork_p50": ratio}))
    else:
        for kind, row in results.items():
            print(
                f"{kind:8} n={row['n']} p50 {row['p50']:.2f} s  p99 {row['p99']:.2f} s  min "
                f"{row['min']:.2f} s"
            )
        print(f"stock launcher / fork server, p50: {ratio}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
