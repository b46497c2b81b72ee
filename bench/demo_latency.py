"""margin.status.v1 produced -> in the body of an enforcing op, for every event of a demo.

Where `enforcement_latency` asks about lone events, here the whole stack is at work: events come without a
pause beside streams, venue, dashboard and all other jobs on the same cores. An event is in the body once the
op has read it: the run then observes its offsets on the topic's asset. `--before` plays the same demo with
another checkout or revision first.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np

from assets.keys import topic_key
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.demo.run import Demo
from margin_platform.kafka.bus import Bus
from margin_platform.stack import state

_PAGE = 1000
_LONGEST_WAIT = 60.0  # seconds after the replay, for the events that are not read by then
_OFFSETS = re.compile(r".*\[(\d+)\] (\d+)-(\d+)")


def read_at(instance: dg.DagsterInstance) -> dict[tuple[int, int], float]:
    """Return when an op first had each status event, by partition and offset, in epoch seconds."""
    found: dict[tuple[int, int], float] = {}
    cursor = None
    while True:
        page = instance.fetch_observations(topic_key(MARGIN_STATUS), limit=_PAGE, cursor=cursor)
        for record in page.records:
            seen = record.asset_observation
            place = _OFFSETS.fullmatch(str(seen.metadata["offsets"].value)) if seen else None
            if place:
                partition, start, end = map(int, place.groups())
                for offset in range(start, end):
                    before = found.get((partition, offset), record.timestamp)
                    found[partition, offset] = min(before, record.timestamp)
        if not page.has_more:
            return found
        cursor = page.cursor


def times(folder: Path) -> np.ndarray:
    """Return the epoch seconds of each event, produced and in an op's body, while the demo's stack stands."""
    with Bus(state.load(folder).environment["MARGIN_KAFKA"]) as bus:
        produced = {(r.partition, r.offset): r.timestamp_ms / 1000 for r in bus.read_all(MARGIN_STATUS)}
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        deadline = time.monotonic() + _LONGEST_WAIT
        while produced.keys() - (read := read_at(instance)).keys() and time.monotonic() < deadline:
            time.sleep(1.0)  # those that wait the longest count too
        runs = instance.get_runs_count(dg.RunsFilter(job_name="enforcement"))
    unread = sorted(produced.keys() - read.keys())
    print(
        f"{len(produced)} events, {runs} runs, {len(unread)} unread: {unread[:5]}",
        file=sys.stderr,
        flush=True,
    )
    return np.array([(at, read[place]) for place, at in sorted(produced.items()) if place in read])


def course(seen: np.ndarray, slices: int = 12) -> list[str]:
    """Return a line for each part of the replay: when, how many events, median and longest wait."""
    waits, at = seen[:, 1] - seen[:, 0], seen[:, 0] - seen[0, 0]
    edges = np.linspace(0.0, at.max() + 1e-6, slices + 1)
    lines = []
    for low, high in zip(edges, edges[1:], strict=False):
        part = waits[(at >= low) & (at < high)]
        if len(part):
            lines.append(
                f"{low:6.1f} s: {len(part):5} events, p50 {np.median(part):6.2f} s, max {part.max():6.2f} s"
            )
    return lines


def figures(seen: np.ndarray) -> dict[str, Any]:
    """Return the wait of all events in seconds, and the longest of those of the last ten seconds."""
    waits = seen[:, 1] - seen[:, 0]
    at_the_end = waits[seen[:, 0] >= seen[:, 0].max() - 10.0]
    p50, p99 = np.percentile(waits, (50, 99))
    row = {"p50": p50, "p99": p99, "largest": waits.max(), "largest at the end": at_the_end.max()}
    return {
        "events": len(waits),
        "seconds": {name: round(float(value), 2) for name, value in row.items()},
        "load": round(os.getloadavg()[1], 1),
    }


def measure(accounts: int, seconds: float) -> dict[str, Any]:
    """Play a demo and return its figures."""
    seen: list[np.ndarray] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "demo"
        Demo(folder, accounts=accounts, seconds=seconds).run(
            lambda _: None,
            lambda text: print(text, file=sys.stderr, flush=True),
            lambda *_: seen.append(times(folder)),  # an earlier program's demo gives nothing here
        )
    print("\n".join(course(seen[0])), file=sys.stderr, flush=True)
    return figures(seen[0])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument(
        "--seconds", type=float, default=120.0, help="how long the replay takes (default %(default)s)"
    )
    parser.add_argument("--before", help="a folder or revision, whose demo is played first")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    results = {}
    if given.before:
        # not above: an earlier checkout, which runs this file, has none
        from bench.checkouts import answer_of, checkout

        arguments = ["--accounts", str(given.accounts), "--seconds", str(given.seconds), "--json"]
        with checkout(given.before) as tree:
            results["before"] = answer_of(__file__, tree, arguments)["after"]
    results["after"] = measure(given.accounts, given.seconds)
    if given.json:
        print(json.dumps(results))
        return 0
    for name, result in results.items():
        columns = "  ".join(f"{what} {value:.2f} s" for what, value in result["seconds"].items())
        print(f"{name:6} {result['events']} events: {columns}; load average {result['load']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
