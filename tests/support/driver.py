"""The streams' driver as its own process."""

from __future__ import annotations

import sys
from pathlib import Path


def driver_command(bootstrap: str, work: Path, only: str, master: str) -> list[str]:
    """Return the command of a driver that keeps checkpoints and tables below a folder."""
    program = [sys.executable, "-m", "spark.driver", "--only", only, "--bootstrap", bootstrap]
    kept = ["--checkpoint", str(work / "checkpoints"), "--tables", str(work / "tables")]
    return [*program, *kept, "--master", master]


def shards_command(bootstrap: str, work: Path, shards: int, master: str) -> list[str]:
    """Return the command of the streams by shard, with their checkpoints and tables below a folder."""
    program = [sys.executable, "-m", "spark.account_shards", "--bootstrap", bootstrap]
    kept = ["--checkpoint", str(work / "checkpoints"), "--tables", str(work / "tables")]
    return [*program, *kept, "--shards", str(shards), "--master", master]
