"""What the settings say to the program of the streams, wherever it is started."""

from __future__ import annotations

from margin_platform.settings import Spark


def shard_arguments(here: Spark) -> list[str]:
    """Return how many shards, and where their checkpoints are; nothing where the streams are not by shard."""
    place = ["--checkpoint", here.checkpoints] if here.checkpoints else []
    return ["--shards", str(here.shards), *place] if here.shards else []
