"""Data folders that releases left, each packed by scripts/release_folder.sh."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

PACKED = sorted(Path(__file__).parent.glob("v*.tar.xz"))


@pytest.fixture(params=PACKED, ids=lambda path: path.name.removesuffix(".tar.xz"))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The data folder of a release, as it was when its stack was stopped."""
    target = tmp_path / "data"
    with tarfile.open(request.param) as packed:
        packed.extractall(target, filter="data")
    return target
