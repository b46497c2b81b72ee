"""Each stream has a program of its own, `python -m spark.<stem>`: it runs that stream and no other, until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from margin_platform.bus import Bus

pytestmark = [pytest.mark.kafka, pytest.mark.spark]
STEMS = ("volatility_tables", "margin_snapshots", "firm_exposure")


def program(stem: str, bus: Bus, work: Path, *options: str) -> list[str]:
    where = ["--bootstrap", bus.bootstrap, "--checkpoint", str(work / "checkpoints"), "--tables", str(work / "tables")]
    return [sys.executable, "-m", f"spark.{stem}", *where, "--metrics-port", "0", "--master", "local[1]", *options]


def test_a_stream_alone_starts_and_stops(bus: Bus, tmp_path: Path) -> None:
    with subprocess.Popen(
        program("volatility_tables", bus, tmp_path), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stderr is not None
        assert any("spark.streams running volatility_tables\n" in line for line in process.stderr), "it never ran"
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        assert process.wait(60) == 0
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == ["volatility_tables"]


@pytest.mark.parametrize("stem", STEMS[1:])
def test_the_other_programs_run_the_stream_they_are_named_after(stem: str, bus: Bus, tmp_path: Path) -> None:
    """Up to Spark's start, which the JVM refuses for a master that does not exist: it takes seconds less than a whole start."""
    alone = program(stem, bus, tmp_path, "--master", "nowhere")
    done = subprocess.run(alone, input=None, capture_output=True, text=True, timeout=90)
    assert [folder.name for folder in (tmp_path / "checkpoints").iterdir()] == [stem]
    assert "JAVA_GATEWAY_EXITED" in done.stderr
    assert done.returncode == 1
