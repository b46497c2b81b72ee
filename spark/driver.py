"""`python -m spark.driver`: the streams in one Spark session (one JVM), until SIGTERM, SIGINT or the end of
standard input.

Its queries: margin_snapshots (the book by account shard, and volatility.v1; of one shard also firm.risk.v1),
firm_exposure (firm.risk.v1 of several shards), and tables (the Delta tables). Standard output carries one
JSON line a micro-batch (see `spark.progress`), standard error the log. The exit code is 0 when asked to stop,
1 when a query failed or the broker cannot be reached, 75 when another driver works on the same checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import os
import stat
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, PRICES, VOLATILITY
from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import Policy, current_policy, load_policy_file
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal, stop_on_signals
from spark import checkpoints
from spark.account_shards import placement, query
from spark.account_shards.metrics import ShardMetrics
from spark.driver_arguments import FIRM_QUERY, MARGIN_QUERY, TABLES_QUERY, arguments
from spark.metrics import served
from spark.session import build
from spark.stream_query import Running
from spark.tables import query as tables

log = logging.getLogger("spark.driver")
_LOOK_SECONDS = 0.2
_FIRST_BATCH_SECONDS = 30.0


def _started(given: argparse.Namespace, place: query.Place, policy: Policy) -> Iterator[Running]:
    """Start the queries, each when it is asked for."""
    shards, trigger = given.shards, given.trigger
    if MARGIN_QUERY in given.only:
        of_firm = {FIRM_QUERY: FIRM_RISK} if shards == 1 else {}
        restated = str(time.time_ns()) if given.restate else ""
        start = partial(query.margin_snapshots, place, policy, shards, trigger_ms=trigger, restated=restated)
        yield Running(start, {MARGIN_QUERY: MARGIN_CALC, "volatility": VOLATILITY, **of_firm})
    if FIRM_QUERY in given.only and shards > 1:
        start = partial(query.firm_exposure, place, policy, shards, trigger_ms=trigger)
        yield Running(start, {FIRM_QUERY: FIRM_RISK})
    if TABLES_QUERY in given.only:
        yield Running(partial(tables.start, place, given.tables), {})


def _await_first_batch(running: list[Running], stop: StopSignal) -> None:
    """Wait a while for the first batch of the last query: those that start at once need more time, each."""
    for _ in range(round(_FIRST_BATCH_SECONDS / _LOOK_SECONDS)):
        if running[-1].is_past_its_start or stop.wait(_LOOK_SECONDS):
            return
        for one in running:
            one.tell()


def _watch(running: list[Running], stop: StopSignal, policy: Policy | None) -> int:
    """Tell of each micro-batch until a query ends (1), all are asked to stop, or a policy newer than this one
    is in force (0).
    """
    while not stop.wait(_LOOK_SECONDS):
        for one in running:
            one.tell()
            if not one.query.isActive and not one.started_again():
                log.error("%s failed: %s", one.name, one.failure)
                return 1
        if policy is not None and policy is not current_policy():
            log.warning("a newer policy is in force: ending, to be started again under it")
            break
    for one in running:
        one.stop()
    return 0


def _run(given: argparse.Namespace, stop: StopSignal) -> int:
    with Bus(given.bootstrap) as bus:  # without a broker there is no reason to start a JVM
        bus.end_offsets(PRICES)
    policy = current_policy() if given.policy is None else load_policy_file(given.policy)
    if given.rebuild:
        checkpoints.forget(given.checkpoint, given.only)
    elif MARGIN_QUERY in given.only:
        checkpoints.mention_earlier_state(given.checkpoint)
    places = (given.checkpoint, given.tables)
    options = query.SESSION | checkpoints.storage(*places)
    session = build("margin-platform", given.master, options, checkpoints.storage_jars(*places))
    try:
        if not (session.sparkContext.master or "").startswith("local"):
            found = placement.await_executors(given.shards, partial(placement.registered, session), stop)
            log.info("executors: %d, for %d shards", found, given.shards)
        running: list[Running] = []
        with served(given.metrics_host, given.metrics_port, ShardMetrics(running)) as watch:
            for one in _started(given, query.Place(session, given.bootstrap, given.checkpoint), policy):
                running.append(one)
                if one.keeps_state:
                    watch(one)
                _await_first_batch(running, stop)
                if stop.is_set():
                    break
            log.info("running %s, shards %d", ", ".join(one.name for one in running), given.shards)
            return _watch(running, stop, policy if given.policy is None else None)
    finally:
        session.stop()


def watch_parent(stop: StopSignal) -> None:
    """Stop at the end of standard input: the process that started this one is gone, even by kill -9.

    Only a pipe has another end. A terminal has none, and /dev/null, which a container or a service gives, is
    at its end from the start.
    """
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return

    def wait() -> None:
        while os.read(0, 4096):
            pass
        log.info("standard input ended: stopping")
        stop.set()

    threading.Thread(target=wait, daemon=True, name="parent-watch").start()


def main() -> int:
    """Run the queries."""
    os.umask(0o077)  # tables and states hold customers
    log_to_terminal()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    given, stop = arguments(sys.argv[1:], __doc__), stop_on_signals()
    watch_parent(stop)
    # a lock is a file of this machine; on other storage it keeps this machine's drivers apart
    folder = settings().checkpoints if "://" in given.checkpoint else Path(given.checkpoint)
    try:
        with checkpoint_lock.held(folder, given.only):
            return _run(given, stop)
    except checkpoint_lock.CheckpointHeld as error:
        log.error("not started: %s", error)
        return checkpoint_lock.EXIT_CODE
    except (BrokerUnreachable, checkpoints.Elsewhere) as error:
        log.error("not started: %s", error)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
