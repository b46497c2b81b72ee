"""Machine code on disk is used by the next process, and made again once a source of it has changed."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from margin_platform.kernel.sweep import account_sweep, compiled
from margin_platform.snapshots import bands

ENTRY = """
from {package}.compiled import kept_on_disk
from {package}.phase import doubled

def _entry(column):
    column[0] = doubled(column[0])

entry = kept_on_disk(_entry)
"""
PHASE = """
from {package}.compiled import kernel

@kernel
def doubled(value):
    return 2.0 * value
"""
PROGRAM = """
import numpy
from {package}.entry import entry
column = numpy.ones(1)
entry(column)
print(column[0], sum(entry.stats.cache_hits.values()))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package whose entry calls a phase of another module."""
    folder = tmp_path / "small"
    folder.mkdir()
    (folder / "__init__.py").touch()
    shutil.copy(str(compiled.__file__), folder / "compiled.py")
    (folder / "entry.py").write_text(ENTRY.format(package="small"))
    (folder / "phase.py").write_text(PHASE.format(package="small"))
    return folder


def _run(package: Path) -> tuple[float, int]:
    """The entry's result in a fresh process, and how often its code came from the disk."""
    command = [sys.executable, "-c", PROGRAM.format(package="small")]
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=package.parent, env=environment
    )
    result, hits = done.stdout.split()
    return float(result), int(hits)


def test_machine_code_is_kept_until_a_source_of_it_changes(package: Path) -> None:
    assert _run(package) == (2.0, 0)
    assert _run(package) == (2.0, 1)
    phase = package / "phase.py"
    before = phase.stat()
    phase.write_text(phase.read_text().replace("2.0 * value", "3.0 * value"))
    os.utime(phase, (before.st_atime, before.st_mtime))  # the date alone would not tell
    assert _run(package) == (3.0, 0)


@pytest.mark.parametrize("module", [account_sweep.__name__, bands.__name__])
def test_the_digest_covers_every_import(module: str) -> None:
    """A module missing from the digest could change and leave old machine code in use."""
    expected, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in expected:
            expected.add(name)
            waiting += _imports(name)
    assert set(compiled.sources(module)) == expected


def _imports(module: str) -> list[str]:
    """Modules of the product that a module imports while it runs, not for its types only."""
    top = ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")).body
    plain = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    named = [
        name
        for node in top
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    ]
    return [name for name in (*plain, *named) if name.startswith("margin_platform.") and name in sys.modules]
