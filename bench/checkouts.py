"""An earlier state of this repository to measure beside the one at hand, in the same run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def answer_of(program: str, tree: Path, arguments: list[str]) -> Any:
    """Return what a benchmark of this checkout prints last, as JSON, where it runs the program of another
    one.
    """
    done = subprocess.run(
        [sys.executable, program, *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.strip().splitlines()[-1])
