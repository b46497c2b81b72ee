"""`python -m spark.account_shards`: the streams inside Spark's own state store, until SIGTERM, SIGINT or the
end of standard input.

Its queries: account_shards (the margin stream and volatility.v1; of one shard also firm.risk.v1), firm_totals
(firm.risk.v1 of several shards), and tables (the Delta tables). They do not start beside a stream of
`spark.driver` that publishes the same, on one checkpoint folder. Standard output carries one JSON
line a micro-batch (see `spark.progress`). The exit code is 0 when asked to stop, 1 when a query failed or the
broker cannot be reached, 75 when another driver works on the same checkpoint.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, PRICES, VOLATILITY
from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.kafka.bus import Bus
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal, stop_on_signals
from spark import program
from spark.account_shards import checkpoints, placement, query, tables
from spark.account_shards.metrics import ShardMetrics
from spark.account_shards.running import Running
from spark.session import build

log = logging.getLogger("spark.account_shards")
_LOOK_SECONDS = 0.2
_FIRST_BATCH_SECONDS = 30.0
_MARGIN, _TOTALS, _TABLES = "account_shards", "firm_totals", "tables"
# the streams of `spark.driver` that write what a query writes
_IN_PLACE_OF = {
    _MARGIN: ("margin_snapshots", "firm_exposure", "volatility_tables"),
    _TOTALS: ("firm_exposure",),
    _TABLES: ("margin_snapshots", "firm_exposure", "volatility_tables"),
}


def _arguments(argv: list[str]) -> argparse.Namespace:
    names = list(_IN_PLACE_OF)
    parser = program.options("python -m spark.account_shards", __doc__, names)
    parser.add_argument(
        "--shards",
        type=int,
        default=1,
        help="of the accounts, for the life of the checkpoint (default %(default)s)",
    )
    given = program.parsed(parser, argv, names)
    if given.shards < 1:
        parser.error(f"--shards: not above zero, value {given.shards}")
    return given


def _started(given: argparse.Namespace, place: query.Place, policy: Policy) -> Iterator[Running]:
    """Start the queries, each when it is asked for."""
    shards, trigger = given.shards, given.trigger
    if _MARGIN in given.only:
        of_firm = {"firm_exposure": FIRM_RISK} if shards == 1 else {}
        restated = str(time.time_ns()) if given.restate else ""
        start = partial(query.account_shards, place, policy, shards, trigger_ms=trigger, restated=restated)
        yield Running(start, {"margin_snapshots": MARGIN_CALC, "volatility": VOLATILITY, **of_firm})
    if _TOTALS in given.only and shards > 1:
        start = partial(query.firm_totals, place, policy, shards, trigger_ms=trigger)
        yield Running(start, {"firm_exposure": FIRM_RISK})
    if _TABLES in given.only:
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
                log.error("%s failed: %s", one.name, one.query.exception())
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
    policy = program.chosen_policy(given)
    if given.rebuild:
        checkpoints.forget(given.checkpoint, given.only)
    elif _MARGIN in given.only:
        checkpoints.mention_driver_state(given.checkpoint)
    places = (given.checkpoint, given.tables)
    options = query.SESSION | tables.WRITES_DELTA | checkpoints.storage(*places)
    session = build("margin-platform", given.master, options, checkpoints.storage_jars(*places))
    try:
        if not (session.sparkContext.master or "").startswith("local"):
            found = placement.await_executors(given.shards, partial(placement.registered, session), stop)
            log.info("executors: %d, for %d shards", found, given.shards)
        running: list[Running] = []
        for one in _started(given, query.Place(session, given.bootstrap, given.checkpoint), policy):
            running.append(one)
            _await_first_batch(running, stop)
        log.info("running %s, shards %d", ", ".join(one.name for one in running), given.shards)
        sharded = [one for one in running if one.keeps_state]
        with program.served(sharded, given.metrics_host, given.metrics_port, ShardMetrics(sharded)):
            return _watch(running, stop, policy if given.policy is None else None)
    finally:
        session.stop()


def _locks(names: Iterable[str]) -> set[str]:
    return {*names, *(stream for name in names for stream in _IN_PLACE_OF[name])}


def main() -> int:
    """Run the queries."""
    os.umask(0o077)  # tables and states hold customers
    log_to_terminal()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    given, stop = _arguments(sys.argv[1:]), stop_on_signals()
    program.watch_parent(stop)
    # a lock is a file of this machine; on other storage it keeps this machine's drivers apart
    folder = settings().checkpoints if "://" in given.checkpoint else Path(given.checkpoint)
    try:
        with checkpoint_lock.held(folder, _locks(given.only)):
            return _run(given, stop)
    except checkpoint_lock.CheckpointHeld as error:
        log.error("not started: %s", error)
        return checkpoint_lock.EXIT_CODE
    except (BrokerUnreachable, checkpoints.Elsewhere) as error:
        log.error("not started: %s", error)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
