"""Each stream has a program of its own, `python -m spark.<stem>`:
it runs that stream and no other, until it is stopped.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from margin_platform.kafka.bus import Bus

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
STARTED, *REFUSED = ("volatility_tables", "margin_snapshots", "firm_exposure")


def program(stem: str, bus: Bus, work: Path, *options: str) -> subprocess.Popen[str]:
    where = ["--bootstrap", bus.bootstrap, "--checkpoint", str(work / stem), "--tables", str(work / "tables")]
    command = [
        sys.executable,
        "-m",
        f"spark.{stem}",
        *where,
        "--metrics-port",
        "0",
        "--master",
        "local[1]",
        *options,
    ]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, umask=0
    )


def test_each_program_runs_the_stream_it_is_named_after_and_no_other(bus: Bus, tmp_path: Path) -> None:
    """One of them whole; the others, side by side with it, up to Spark's start,
    which the JVM refuses for a master that does not exist.
    """
    refused = {stem: program(stem, bus, tmp_path, "--master", "nowhere") for stem in REFUSED}
    with program(STARTED, bus, tmp_path) as started:
        assert started.stderr is not None
        assert any(f"spark.driver running {STARTED}\n" in line for line in started.stderr), "it never ran"
        started.send_signal(signal.SIGTERM)
        started.stderr.read()
        assert started.wait(60) == 0
    for process in refused.values():
        _, said = process.communicate(timeout=90)
        assert "JAVA_GATEWAY_EXITED" in said
        assert process.returncode == 1
    for stem in (STARTED, *REFUSED):
        assert sorted(path.name for path in (tmp_path / stem).iterdir()) == [
            stem,
            f"{stem}.holder",
            f"{stem}.lock",
        ]
    written = list(tmp_path.rglob("*"))
    assert any(path.name == "metadata" for path in written)  # Spark's own
    assert [path for path in written if path.lstat().st_mode & 0o077] == []  # other users read none of it
