"""`python -m spark.account_shards`: the margin stream by account shard, until SIGTERM, SIGINT or the end of
standard input.

It publishes what margin_snapshots publishes, and with one shard also firm.risk.v1, of all accounts at one
tick. It keeps no table. Standard output carries one JSON line a micro-batch. The exit code is 0 when asked to
stop, 1 when the stream failed, 75 when another driver works on the same checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal, stop_on_signals
from spark.account_shards import query
from spark.program import watch_parent
from spark.session import build

log = logging.getLogger("spark.account_shards")
_NAME = "account_shards"
_LOOK_SECONDS = 0.2


def _arguments(argv: list[str]) -> argparse.Namespace:
    here = settings()
    parser = argparse.ArgumentParser(prog="python -m spark.account_shards", description=__doc__)
    parser.add_argument("--bootstrap", default=here.kafka.bootstrap_servers, help="Kafka address")
    parser.add_argument("--checkpoint", type=Path, default=here.checkpoints, help="folder of the checkpoint")
    parser.add_argument("--master", default=here.spark.master, help="Spark master (default %(default)r)")
    parser.add_argument(
        "--shards", type=int, default=1, help="for the life of the checkpoint (default %(default)s)"
    )
    return parser.parse_args(argv)


def _watch(running: StreamingQuery, stop: StopSignal) -> int:
    """Print a line for each micro-batch until the query ends (1) or is asked to stop (0)."""
    printed = -1
    while not stop.wait(_LOOK_SECONDS):
        if not running.isActive:
            log.error("%s failed: %s", _NAME, running.exception())
            return 1
        for progress in running.recentProgress:
            if progress["batchId"] > printed:
                printed = progress["batchId"]
                sys.stdout.write(json.dumps(_line(progress)) + "\n")
        sys.stdout.flush()
    running.stop()
    return 0


def _line(progress: dict[str, object]) -> dict[str, object]:
    """Return what a micro-batch read, and how long it took in seconds."""
    told = json.loads(json.dumps(progress, default=str))
    read = [source for source in told["sources"] if "KafkaV2" in source["description"]]
    ends = [json.loads(e) if isinstance(e := source["endOffset"], str) else e for source in read]
    return {
        "stream": _NAME,
        "batch_id": told["batchId"],
        "rows": sum(source["numInputRows"] for source in read),
        "seconds": told["durationMs"].get("triggerExecution", 0) / 1000,
        "offsets": {topic: parts for end in ends if end for topic, parts in end.items()},
    }


def main() -> int:
    """Run the stream."""
    os.umask(0o077)  # tables and states hold customers
    log_to_terminal()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    given, stop = _arguments(sys.argv[1:]), stop_on_signals()
    watch_parent(stop)
    try:
        with checkpoint_lock.held(given.checkpoint, [_NAME]):
            session = build("margin-platform", given.master, query.STATE_STORE)
            try:
                folder = given.checkpoint / _NAME
                running = query.start(session, given.bootstrap, folder, current_policy(), given.shards)
                log.info("running %s, shards %d", _NAME, given.shards)
                return _watch(running, stop)
            finally:
                session.stop()
    except checkpoint_lock.CheckpointHeld as error:
        log.error("not started: %s", error)
        return checkpoint_lock.EXIT_CODE


if __name__ == "__main__":
    raise SystemExit(main())
