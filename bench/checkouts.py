"""An earlier state of this repository to measure beside the one at hand, in the same run."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def checkout(which: str) -> Iterator[Path]:
    """Yield the folder that `which` names, or a worktree of that revision, removed afterwards."""
    if Path(which).is_dir():
        yield Path(which).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "before")
        subprocess.run(
            ["git", "worktree", "add", "--quiet", "--detach", str(tree), which], cwd=ROOT, check=True
        )
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
