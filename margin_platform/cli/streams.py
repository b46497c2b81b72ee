"""`margin streams`: the streams' shards, and another number of partitions for their state."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from margin_platform.cli import options
from margin_platform.cli.output import failed, print_json, print_table

_Url = Annotated[
    str | None,
    typer.Option(help="where the streams serve Prometheus (default: MARGIN_METRICS_*)", show_default=False),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="Show the streams' shards; divide their state over more or fewer tasks.",
        invoke_without_command=True,
    )
    app.add_typer(group, name="streams")

    @group.callback()
    def show(context: typer.Context, url: _Url = None, as_json: options.Json = False) -> None:
        """Show the streams' shards; divide their state over more or fewer tasks."""
        if context.invoked_subcommand is None:
            _shards(url, as_json)

    group.command("shards")(_shards)
    group.command("rescale")(_rescale)


def _shards(url: _Url = None, as_json: options.Json = False) -> None:
    """Show where each shard is, its version and size, and how often it was read from the state store."""
    from rich.table import Table

    from margin_platform.settings import settings
    from margin_platform.stack.status import shard_figures

    here = settings().metrics
    try:
        rows = shard_figures.read(url or f"http://{here.host}:{here.port}/metrics")
    except shard_figures.NoShards as error:
        raise failed(error) from error
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for title in ("stream", "shard", "where", "version", "state", "cold starts"):
        table.add_column(title, justify="left" if title in ("stream", "where") else "right", no_wrap=True)
    for row in rows:
        size = f"{int(str(row['state_bytes'])) / 1e6:,.1f} MB"
        cells = (row["stream"], row["shard"], row["where"], row["version"], size, row["cold_starts"])
        table.add_row(*map(str, cells))
    print_table(table)


def _rescale(
    partitions: Annotated[int, typer.Argument(min=1, help="tasks that the state is divided over")],
    checkpoint: Annotated[
        str | None, typer.Option(help="folder or URL of the checkpoints", show_default=False)
    ] = None,
) -> None:
    """Divide the state of the stopped streams over another number of tasks. The shards stay what they are."""
    program = [sys.executable, "-m", "spark.account_shards.rescale", str(partitions)]
    ended = subprocess.run([*program, *(["--checkpoint", checkpoint] if checkpoint else [])], check=False)
    raise typer.Exit(ended.returncode)
