"""`python -m spark.account_shards.rescale P`: the state of stopped streams over P tasks.

The shards stay what they are; only how many tasks share them changes. The query is drained: a batch that its
stop cut is repeated as it was, and what stands on the topics is read. Then Spark moves its state to P
partitions, and the next start goes on from there. The exit code is 0 when done, 1 where it cannot
be done, 75 where the streams run.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import SparkSession

from margin_platform.contracts.messages import PRICES
from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import current_policy, load_policy_file
from margin_platform.settings import settings
from spark import checkpoints
from spark.account_shards import query
from spark.account_shards.state import META, VARIABLE, meta_of
from spark.session import build
from spark.stream_query import Running

log = logging.getLogger("spark.account_shards.rescale")
_UNFINISHED = "STREAMING_UNFINISHED_REPARTITION_DETECTED"
_ALREADY = "SHUFFLE_PARTITIONS_ALREADY_MATCH"
_QUERY = "margin_snapshots"


class Refused(RuntimeError):
    """A rescaling that cannot be done; the message says why."""


def _arguments(argv: list[str]) -> argparse.Namespace:
    here = settings()
    parser = argparse.ArgumentParser(prog="python -m spark.account_shards.rescale", description=__doc__)
    parser.add_argument("partitions", type=int)
    parser.add_argument(
        "--checkpoint",
        default=here.spark.checkpoints or str(here.checkpoints),
        help="folder or URL (default %(default)s)",
    )
    parser.add_argument(
        "--bootstrap", default=here.kafka.bootstrap_servers, help="Kafka address (default %(default)s)"
    )
    parser.add_argument("--master", default=here.spark.master, help="Spark master (default %(default)r)")
    parser.add_argument("--policy", type=Path, help="policy file; default the newest shipped")
    return parser.parse_args(argv)


def rescale(place: query.Place, partitions: int, policy: Path | None) -> None:
    """Drain the shards and divide their state over so many partitions. Refused says why not."""
    folder = f"{place.checkpoint.rstrip('/')}/{_QUERY}"
    shards = shards_of(place.session, folder)
    if shards % partitions:
        raise Refused(f"partitions: not as many of the {shards} shards in each, value {partitions}")
    in_force = current_policy() if policy is None else load_policy_file(policy)
    _drain(partial(query.margin_snapshots, place, in_force, shards, trigger_ms=None))
    try:
        place.session._streamingCheckpointManager.repartition(folder, partitions)
    except (PySparkException, Py4JJavaError) as error:
        if _ALREADY not in str(error):
            raise Refused(_reason(error)) from error
    log.info("%s: %d shards in %d partitions", _QUERY, shards, partitions)


def _reason(error: Exception) -> str:
    """Return what Spark says in one line: its condition's name and text."""
    found = re.search(r"\[[A-Z][A-Z_.]+\].*", str(error))
    return str(error).splitlines()[0] if found is None else found[0]


def shards_of(session: SparkSession, folder: str) -> int:
    """Return how many shards a checkpoint has, as its newest committed state says."""
    jvm, configuration = session._jvm, session._jsc.hadoopConfiguration()
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(f"{folder}/commits")
    if not path.getFileSystem(configuration).exists(path):
        raise Refused(f"no checkpoint of a batch in {folder}")
    _ = session.streams.active  # creates the coordinator that the reader of a state asks
    cells = session.read.format("statestore").option("path", folder).option("stateVarName", VARIABLE).load()
    found = cells.where(f"user_map_key.part = '{META}'").selectExpr("user_map_value.text").first()
    if found is None:
        raise Refused(f"no checkpoint of a shard in {folder}")
    return meta_of(found[0]).of


def _drain(start: Callable[[], query.Sharded]) -> None:
    """Run a query until it has read what stands on its topics."""
    running = Running(start, {})
    running.listeners.clear()
    while True:
        with suppress(StreamingQueryException):
            running.query.awaitTermination()
        running.tell()
        if not running.started_again():
            break
    error = running.query.exception()
    if error is not None and _UNFINISHED not in str(error):  # that one was drained before
        raise error


def _rescale(given: argparse.Namespace) -> None:
    with Bus(given.bootstrap) as bus:  # the drain reads it
        bus.end_offsets(PRICES)
    options = query.SESSION | checkpoints.storage(given.checkpoint)
    jars = checkpoints.storage_jars(given.checkpoint)
    session = build("margin-rescale", given.master, options, jars)
    try:
        place = query.Place(session, given.bootstrap, given.checkpoint)
        rescale(place, given.partitions, given.policy)
    finally:
        session.stop()


def main() -> int:
    """Do it, or say why not."""
    os.umask(0o077)  # states hold customers
    log_to_terminal()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    given = _arguments(sys.argv[1:])
    folder = settings().checkpoints if "://" in given.checkpoint else Path(given.checkpoint)
    try:
        with checkpoint_lock.held(folder, [_QUERY]):
            _rescale(given)
    except checkpoint_lock.CheckpointHeld as error:
        log.error("stop the streams first: %s", error)
        return checkpoint_lock.EXIT_CODE
    except (Refused, BrokerUnreachable) as error:
        log.error("not rescaled: %s", error)
        return 1
    except PySparkException as error:
        log.error("not rescaled: %s", _reason(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
