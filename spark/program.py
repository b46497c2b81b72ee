"""The program around the streams: one Spark session (one JVM), until SIGTERM, SIGINT or the end of standard
input.

Standard output carries one JSON line a micro-batch (see `progress`), standard error the log. The exit code is
0 when asked to stop, 1 when a stream failed or the broker cannot be reached, 75 when another driver works on
the same checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from prometheus_client.registry import Collector
from pyspark.sql.streaming import StreamingQuery

from margin_platform.contracts.visible_text import log_to_terminal
from margin_platform.durable_state import StateRefused
from margin_platform.kafka.broker_errors import BrokerUnreachable
from margin_platform.orchestration import checkpoint_lock
from margin_platform.policy.policy import Policy, current_policy, load_policy_file
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal, stop_on_signals
from spark.metrics import Endpoint, Watched
from spark.session import build
from spark.stream import Stream, StreamSettings

log = logging.getLogger("spark.driver")


class StreamKind(Protocol):
    """A stream that the program can start: the class of it."""

    name: str

    def __call__(self, settings: StreamSettings, /) -> Stream: ...


_LOOK_SECONDS = 0.5


def options(prog: str, description: str | None, names: Sequence[str]) -> argparse.ArgumentParser:
    """Return the command line of a program that runs streams of these names."""
    here = settings()
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--only", default="", help=f"streams to run, comma separated, of {', '.join(names)}; default all"
    )
    parser.add_argument(
        "--bootstrap", default=here.kafka.bootstrap_servers, help="Kafka address (default %(default)s)"
    )
    parser.add_argument(
        "--checkpoint",
        default=str(here.checkpoints),
        help="folder of offsets and state (default %(default)s)",
    )
    parser.add_argument(
        "--tables", default=here.tables, help="folder of the Delta tables (default %(default)s)"
    )
    parser.add_argument("--policy", type=Path, help="policy file; default the newest shipped")
    parser.add_argument(
        "--trigger",
        type=int,
        default=100,
        metavar="MS",
        help="shortest time between micro-batches (default %(default)s)",
    )
    parser.add_argument(
        "--master",
        default=here.spark.master,
        help="Spark master; empty: the submitter names it (default %(default)r)",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=here.metrics.port,
        metavar="N",
        help="serve Prometheus here, 0: nowhere (default %(default)s)",
    )
    parser.add_argument(
        "--metrics-host",
        default=here.metrics.host,
        metavar="HOST",
        help="address to serve it on (default %(default)s)",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="forget checkpoints and state, and read the topics from their beginning (tables are kept)",
    )
    parser.add_argument(
        "--restate",
        action="store_true",
        help="say in margin.status.v1 where every account stands: after some of its events were lost, or a "
        "rebuild has caught up",
    )
    return parser


def parsed(parser: argparse.ArgumentParser, argv: list[str], names: Sequence[str]) -> argparse.Namespace:
    """Return what a command line says, `only` as the names that it chooses."""
    given = parser.parse_args(argv)
    chosen = [name for name in given.only.split(",") if name] or list(names)
    if unknown := sorted(set(chosen) - set(names)):
        parser.error(f"--only: not one of {', '.join(sorted(names))}, value {unknown[0]!r}")
    given.only = chosen
    return given


def _arguments(argv: list[str], kinds: Sequence[StreamKind]) -> argparse.Namespace:
    names = [kind.name for kind in kinds]
    return parsed(options("python -m spark.driver", __doc__, names), argv, names)


def chosen_policy(given: argparse.Namespace) -> Policy:
    """Return the policy that a command line names; without one the policy in force."""
    return current_policy() if given.policy is None else load_policy_file(given.policy)


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


@contextlib.contextmanager
def served(streams: Sequence[Watched], host: str, port: int, *more: Collector) -> Iterator[None]:
    """Serve the streams' figures to Prometheus while the block runs.

    Without a free port it still runs: margin comes first.
    """
    with contextlib.ExitStack() as stack:
        try:
            if port:
                endpoint = stack.enter_context(contextlib.closing(Endpoint(streams, host, port, *more)))
                log.info("figures for Prometheus at %s", endpoint.url)
        except OSError as error:
            log.error("no figures for Prometheus: %s:%d cannot be served (%s)", host, port, error)
        yield


def _chosen(given: argparse.Namespace, kinds: Sequence[StreamKind]) -> list[StreamKind]:
    return [s for s in kinds if s.name in given.only]


def run(given: argparse.Namespace, kinds: Sequence[StreamKind], stop: StopSignal) -> int:
    """Start the streams and wait for the end."""
    policy = chosen_policy(given)
    places = StreamSettings(
        given.bootstrap, Path(given.checkpoint), given.tables, policy, trigger_ms=given.trigger
    )
    streams: list[Stream] = [kind(places) for kind in kinds]
    for stream in streams:
        if given.rebuild:
            stream.forget()
        stream.recover()  # before the session: without a broker there is no reason to start a JVM
        if given.restate:
            stream.restate()
    gc.collect()
    gc.freeze()  # else each of Python's collections passes over the whole book
    with served(streams, given.metrics_host, given.metrics_port):
        session = build("margin-platform", given.master)
        try:
            queries = [stream.start(session) for stream in streams]
            return _watch(
                queries, streams, stop, lambda: given.policy is None and policy is not current_policy()
            )
        finally:
            session.stop()


def _watch(
    queries: list[StreamingQuery], streams: list[Stream], stop: StopSignal, outdated: Callable[[], bool]
) -> int:
    """Wait until asked to stop (0), until a newer policy's day has come (0: the supervisor starts again),
    or until a stream fails (1).
    """
    log.info("running %s", ", ".join(s.name for s in streams))
    while not stop.wait(_LOOK_SECONDS):
        failed = next((q for q in queries if q.exception() is not None or not q.isActive), None)
        if failed is not None:
            log.error("stream %s failed: %s", failed.name, failed.exception())
            return 1
        broken = next((s for s in streams if s.failure is not None), None)
        if broken is not None:
            log.error("stream %s failed: %s", broken.name, broken.failure)
            return 1
        if outdated():
            log.warning("a newer policy is in force: ending, to be started again under it")
            break
    for query in queries:
        query.stop()  # waits for the batch in flight
    for stream in streams:
        stream.close()
    return 0


def main(kinds: Sequence[StreamKind]) -> int:
    """Run those of the streams that the command line names; all where it names none."""
    os.umask(0o077)  # tables and states hold customers
    log_to_terminal()
    logging.getLogger("py4j").setLevel(logging.WARNING)
    given = _arguments(sys.argv[1:], kinds)
    chosen = _chosen(given, kinds)
    stop = stop_on_signals()
    watch_parent(stop)
    try:
        with checkpoint_lock.held(Path(given.checkpoint), (s.name for s in chosen)):
            return run(given, chosen, stop)
    except checkpoint_lock.CheckpointHeld as error:
        log.error("not started: %s", error)
        return checkpoint_lock.EXIT_CODE
    except BrokerUnreachable as error:
        log.error("the streams have no broker: %s", error)
        return 1
    except StateRefused as error:
        log.error("a stream cannot continue: %s", error)
        return 1
