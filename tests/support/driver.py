"""The streams' driver as its own process."""

from __future__ import annotations

import sys
from pathlib import Path


def driver_command(bootstrap: str, work: Path, *, shards: int = 1, master: str = "local[1,4]") -> list[str]:
    """Return the command of a driver that keeps checkpoints and tables below a folder.

    master: one slot, as shards on two would change Python workers all the time.
    """
    program = [sys.executable, "-m", "spark.driver", "--bootstrap", bootstrap]
    kept = ["--checkpoint", str(work / "checkpoints"), "--tables", str(work / "tables")]
    return [*program, *kept, "--shards", str(shards), "--master", master]
