"""The queries' checkpoints, below one folder or URL: a folder a query, of its name."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger(__name__)


class Elsewhere(ValueError):
    """A checkpoint that is not a folder of this machine; the message says what to do."""


def forget(checkpoint: str, names: Iterable[str]) -> None:
    """Drop the checkpoints of queries: they then begin with the topics' first records. Tables are kept."""
    if "://" in checkpoint:
        raise Elsewhere(f"--rebuild: delete the folders below {checkpoint} with the tool of that storage")
    for name in names:
        if (folder := Path(checkpoint) / name).exists():
            shutil.rmtree(folder)
            log.warning("%s: rebuilding from the topics", name)


def mention_driver_state(checkpoint: str) -> None:
    """Say so where a state of `spark.driver` stands and none of the shards: it is not read."""
    if "://" in checkpoint or (Path(checkpoint) / "account_shards").exists():
        return
    if (Path(checkpoint) / "margin_snapshots").exists():
        log.warning("account_shards: the state of margin_snapshots is not read: rebuilding from the topics")
