"""margin.status.v1 produced -> body of the enforcement op running, for every event of a demo:
the whole stack at work.

Where `enforcement_latency` asks about lone events, here they come without a pause beside streams, venue,
dashboard and all other jobs on the same cores. Splits the way into waiting for Dagster's next look at the
sensor (a pass of its daemon takes 5 s at least, a constant of Dagster's) and starting the run, and prints
each as a multiple of that pass.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
from dagster._core.events import DagsterEventType
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.demo.run import Demo
from margin_platform.kafka.bus import Bus
from margin_platform.stack import state

PARTS = {"produced -> run created": 0, "run created -> op body": 1, "produced -> op body": 2}


def spans(instance: dg.DagsterInstance) -> list[tuple[int, range, float, float]]:
    """List (partition, offsets, run created, op body running) of every enforcement run that got to its op;
    times in epoch seconds.
    """
    found = []
    for record in instance.get_run_records(
        dg.RunsFilter(job_name="enforcement", tags={"kafka/topic": MARGIN_STATUS})
    ):
        run = record.dagster_run
        starts = instance.event_log_storage.get_logs_for_run(run.run_id, of_type=DagsterEventType.STEP_START)
        if starts:
            first, end = map(int, run.tags["kafka/offsets"].split("-"))
            found.append(
                (
                    int(run.tags["kafka/partition"]),
                    range(first, end),
                    record.create_timestamp.timestamp(),
                    starts[0].timestamp,
                )
            )
    return found


def latencies(folder: Path) -> np.ndarray:
    """Return one row an event, one column each of PARTS, in seconds; called while the demo's stack still
    stands."""
    with Bus(state.load(folder).environment["MARGIN_KAFKA"]) as bus:
        produced = {(r.partition, r.offset): r.timestamp_ms / 1000 for r in bus.read_all(MARGIN_STATUS)}
    rows = []
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        for partition, offsets, created, begun in spans(instance):
            rows += [
                (created - at, begun - created, begun - at)
                for o in offsets
                if (at := produced.get((partition, o))) is not None
            ]
    return np.array(rows)


def figures(seconds: np.ndarray) -> dict[str, Any]:
    return {
        "events": len(seconds),
        "pass_s": MIN_INTERVAL_LOOP_TIME,
        "seconds": {
            name: dict(
                zip(("p50", "p99"), np.percentile(seconds[:, k], (50, 99)).round(2).tolist(), strict=True)
            )
            for name, k in PARTS.items()
        },
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="how long the replay takes (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    seen: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "demo"
        demo = Demo(folder, accounts=given.accounts, seconds=given.seconds)
        demo.run(
            lambda _: None,
            lambda text: print(text, file=sys.stderr, flush=True),
            lambda: seen.append(latencies(folder)),
        )
    result = figures(seen[0])
    if given.json:
        print(json.dumps(result))
    else:
        print(
            f"{result['events']} events; a pass of Dagster's sensor daemon takes {MIN_INTERVAL_LOOP_TIME} s "
            "at least"
        )
        for part, row in result["seconds"].items():
            ratio = row["p50"] / MIN_INTERVAL_LOOP_TIME
            print(f"{part:24} p50 {row['p50']:6.2f} s  p99 {row['p99']:6.2f} s  p50 / pass {ratio:.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
