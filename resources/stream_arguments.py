"""The program of the streams that the settings choose, and what they say to it, wherever it is started.

`python -m resources.stream_arguments [OPTION ...]` becomes that program.
"""

from __future__ import annotations

import os
import sys

from margin_platform.settings import Spark, settings


def shard_arguments(here: Spark) -> list[str]:
    """Return how many shards, and where their checkpoints are; nothing where the streams are not by shard."""
    place = ["--checkpoint", here.checkpoints] if here.checkpoints else []
    return ["--shards", str(here.shards), *place] if here.shards else []


def program() -> list[str]:
    """Return the program of the settings: `spark.account_shards` where MARGIN_SPARK_SHARDS says how many."""
    if arguments := shard_arguments(settings().spark):
        return [sys.executable, "-m", "spark.account_shards", *arguments]
    return [sys.executable, "-m", "spark.driver"]


if __name__ == "__main__":
    command = [*program(), *sys.argv[1:]]
    os.execv(command[0], command)
