"""Processor time to load the code location in a new process, as each code server and fork server does.

`--before` measures another checkout or revision by turns with this one. `import dagster` alone is measured as
the bound: nothing that Dagster loads can be faster.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from bench.checkouts import ROOT, checkout

_LOAD = "import time; import {}; print(time.process_time())"
_DEFINITIONS, _DAGSTER = "margin_platform.definitions", "dagster"
_IMPORTED = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )


def seconds(folder: Path, module: str) -> float:
    """Return the processor time of a new process of this checkout that imports a module."""
    return float(_run(folder, "-c", _LOAD.format(module)).stdout)


def by_package(folder: Path) -> dict[str, float]:
    """Return the seconds that each top-level package's modules take to import, the slowest first."""
    report = _run(folder, "-X", "importtime", "-c", f"import {_DEFINITIONS}").stderr
    total: defaultdict[str, float] = defaultdict(float)
    for micros, module in _IMPORTED.findall(report):
        total[module.partition(".")[0]] += int(micros) / 1e6
    return dict(sorted(total.items(), key=lambda pair: -pair[1]))


def measure(sides: dict[str, tuple[Path, str]], rounds: int) -> dict[str, dict[str, float]]:
    """Return least and median seconds of each side, taken by turns; one round before is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, (folder, module) in sides.items():
            found = seconds(folder, module)
            if turn:  # the first compiles, and reads from a cold disk
                taken[name].append(found)
    return {
        name: {"least": round(min(all_), 2), "median": round(statistics.median(all_), 2)}
        for name, all_ in taken.items()
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", help="a folder or revision to measure by turns with this one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packages", type=int, default=0, help="name the slowest packages to import")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    sides = {"import dagster": (ROOT, _DAGSTER), "now": (ROOT, _DEFINITIONS)}
    if given.before:
        with checkout(given.before) as tree:
            found = measure({"before": (tree, _DEFINITIONS), **sides}, given.rounds)
    else:
        found = measure(sides, given.rounds)
    if given.json:
        print(json.dumps(found))
        return 0
    for name, row in found.items():
        print(f"{name:15} processor seconds, least {row['least']:.2f}, median {row['median']:.2f}")
    for package, took in list(by_package(ROOT).items())[: given.packages]:
        print(f"  {package:24} {took:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
