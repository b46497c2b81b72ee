"""The command line of `python -m spark.driver`."""

from __future__ import annotations

import argparse
from pathlib import Path

from margin_platform.settings import Settings, settings

MARGIN_QUERY, FIRM_QUERY, TABLES_QUERY = QUERIES = ("margin_snapshots", "firm_exposure", "tables")
TRIGGER_MS = 50  # without it the queries ask the broker a hundred times a second


def arguments(argv: list[str], description: str | None) -> argparse.Namespace:
    """Return what a command line says, `only` as the queries that it chooses."""
    parser = _parser(description)
    given = parser.parse_args(argv)
    given.only = [name for name in given.only.split(",") if name] or list(QUERIES)
    if unknown := sorted(set(given.only) - set(QUERIES)):
        parser.error(f"--only: not one of {', '.join(QUERIES)}, value {unknown[0]!r}")
    if given.shards < 1:
        parser.error(f"--shards: not above zero, value {given.shards}")
    if given.only == [FIRM_QUERY] and given.shards == 1:
        parser.error(
            f"--only: one shard publishes the firm's rows itself, in {MARGIN_QUERY}, value {FIRM_QUERY!r}"
        )
    return given


def _parser(description: str | None) -> argparse.ArgumentParser:
    here = settings()
    parser = argparse.ArgumentParser(prog="python -m spark.driver", description=description)
    parser.add_argument(
        "--only", default="", help=f"queries to run, comma separated, of {', '.join(QUERIES)}; default all"
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=here.spark.shards,
        help="of the accounts, for the life of the checkpoint (default %(default)s)",
    )
    _add_places(parser, here)
    parser.add_argument("--policy", type=Path, help="policy file; default the newest shipped")
    parser.add_argument(
        "--trigger",
        type=int,
        default=TRIGGER_MS,
        metavar="MS",
        help="shortest time between micro-batches (default %(default)s)",
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


def _add_places(parser: argparse.ArgumentParser, here: Settings) -> None:
    parser.add_argument(
        "--bootstrap", default=here.kafka.bootstrap_servers, help="Kafka address (default %(default)s)"
    )
    parser.add_argument(
        "--checkpoint",
        default=here.spark.checkpoints or str(here.checkpoints),
        help="folder or URL of offsets and state (default %(default)s)",
    )
    parser.add_argument(
        "--tables", default=here.tables, help="folder of the Delta tables (default %(default)s)"
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
