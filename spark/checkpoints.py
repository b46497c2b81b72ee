"""The queries' checkpoints, below one folder or URL: a folder a query, of its name."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from pathlib import Path

from margin_platform.jars.resolve import s3a_classpath
from margin_platform.settings import settings

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


def storage(*places: str) -> dict[str, str]:
    """Return Spark's options for places on S3, `s3a://` or `s3://`: endpoint and region of the settings,
    credentials by AWS's chain. None for folders.
    """
    if not _on_s3(places):
        return {}
    here = settings().aws
    options = {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint.region": here.region,
        # else by the SDK's Netty client, which under Spark's Netty takes "100 Continue" for the answer
        "spark.hadoop.fs.s3a.optimized.copy.from.local.enabled": "false",
    }
    if here.s3 is not None:
        options |= {"spark.hadoop.fs.s3a.endpoint": here.s3, "spark.hadoop.fs.s3a.path.style.access": "true"}
    return options


def storage_jars(*places: str) -> list[str]:
    """Return the jars by which Spark reaches these places; none for folders."""
    return s3a_classpath() if _on_s3(places) else []


def _on_s3(places: Iterable[str]) -> bool:
    return any(place.startswith(("s3a://", "s3://")) for place in places)


def mention_earlier_state(checkpoint: str) -> None:
    """Say so where a state of the streams of before stands and none of the shards: it is not read."""
    folder = Path(checkpoint) / "margin_snapshots"
    if "://" not in checkpoint and (folder / "spark").exists() and not (folder / "metadata").exists():
        log.warning("the state of the earlier streams is not read: rebuilding the book from the topics")
