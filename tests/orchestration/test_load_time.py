"""What loading the code location imports, and what a run's worker has before it is forked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.span_runs.worker_start import USED_BY_RUNS

ROOT = Path(__file__).parents[2]
# Each takes from a tenth of a second to a whole one, in every code server; a run that needs one imports it.
HEAVY = (
    "boto3",
    "dagster_aws",
    "dagster_pyspark",
    "deltalake",
    "exchange_calendars",
    "httpx",
    "matplotlib",
    "numba",
    "pandas",
    "pyspark",
    "scipy",
)


def loaded(program: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_code_location_loads_without_what_only_runs_need() -> None:
    """`python -m bench.load_time --packages 20` shows what the rest takes."""
    program = "from margin_platform.definitions import definitions\ndefinitions.get_repository_def()"
    assert loaded(program) & set(HEAVY) == set()


def test_a_worker_has_all_of_it_before_the_fork() -> None:
    """A margin call must not wait for imports."""
    before_the_fork = loaded("import jobs.span_runs.worker_start as start\nstart.warm()")
    needed = {*USED_BY_RUNS, "numba", "exchange_calendars", "pandas", "httpx"}
    assert needed - before_the_fork == set()


@pytest.mark.parametrize("name", ["enforcement", "ladder_timers", "liquidation"])
def test_an_acting_job_imports_nothing_else_while_it_decides(name: str) -> None:
    """What a job's function imports is among what is imported before the fork."""
    text = (ROOT / "jobs" / f"{name}.py").read_text(encoding="utf-8")
    inside = [line.split()[1] for line in text.splitlines() if line.startswith("    from margin_platform")]
    assert inside
    assert set(inside) <= set(USED_BY_RUNS)
