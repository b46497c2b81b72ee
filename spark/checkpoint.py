"""Reading Spark's own checkpoint: which batches it committed and where each of them ended.

A stream's state is saved every few seconds; the batches committed since are applied again from Kafka with
exactly the boundaries they had, so that ids made from them come out the same.
"""

from __future__ import annotations

import json
from pathlib import Path

Offsets = dict[str, dict[int, int]]  # topic -> partition -> next offset


def committed_after(folder: Path, batch_id: int) -> list[tuple[int, Offsets]]:
    """List (batch, its end offsets) of every committed batch later than one, in order; those Spark already
    forgot are left out.
    """
    last = max(_batches(folder / "commits"), default=-1)
    return [
        (n, _end_of(folder / "offsets" / str(n)))
        for n in _batches(folder / "offsets")
        if batch_id < n <= last
    ]


def _batches(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def _end_of(path: Path) -> Offsets:
    """Read the third line of an offset file: one Kafka source as {"topic": {"partition": next offset}}; the
    first is its version.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) != 3 or lines[0] != "v1":
        raise ValueError(f"{path}: not an offset file of one source, begins with {lines[:1]!r}")
    return {
        topic: {int(p): offset for p, offset in parts.items()}
        for topic, parts in json.loads(lines[2]).items()
    }
