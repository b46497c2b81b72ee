"""`python -m spark.driver --only NAME` runs that query and no other, until it is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from margin_platform.kafka.bus import Bus
from spark.driver_arguments import QUERIES

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
STARTED, *REFUSED = QUERIES


def program(name: str, bus: Bus, work: Path, *options: str) -> subprocess.Popen[str]:
    where = ["--bootstrap", bus.bootstrap, "--checkpoint", str(work / name), "--tables", str(work / "rows")]
    command = [sys.executable, "-m", "spark.driver", "--only", name, *where, "--shards", "2"]
    return subprocess.Popen(
        [*command, "--metrics-port", "0", "--master", "local[1]", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        umask=0,
    )


def test_each_name_runs_its_query_and_no_other(bus: Bus, tmp_path: Path) -> None:
    """One of them whole; the others, side by side with it, up to Spark's start,
    which the JVM refuses for a master that does not exist.
    """
    refused = {name: program(name, bus, tmp_path, "--master", "nowhere") for name in REFUSED}
    with program(STARTED, bus, tmp_path) as started:
        assert started.stderr is not None
        assert any(f"spark.driver running {STARTED}, shards 2\n" in line for line in started.stderr), (
            "it never ran"
        )
        started.send_signal(signal.SIGTERM)
        started.stderr.read()
        assert started.wait(60) == 0
    for process in refused.values():
        _, said = process.communicate(timeout=90)
        assert "JAVA_GATEWAY_EXITED" in said
        assert process.returncode == 1
    for name in QUERIES:
        held = {f"{name}.holder", f"{name}.lock"}
        assert {path.name for path in (tmp_path / name).iterdir()} == held | ({name} & {STARTED})
    written = list(tmp_path.rglob("*"))
    assert any(path.name == "metadata" for path in written)  # Spark's own
    assert any(path.name == "state" for path in written)
    assert [path for path in written if path.lstat().st_mode & 0o077] == []  # other users read none of it
