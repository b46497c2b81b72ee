"""`margin up`, `margin down`, `margin status`: the local stack of one data folder."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from margin_platform.cli.output import bad_input, echo, failed, print_json, print_table, screen
from margin_platform.contracts.json_object import Json
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal, stop_on_signals

if TYPE_CHECKING:
    from rich.console import Console as Screen

_Data = Annotated[
    Path | None,
    typer.Option("--data", help="folder of the stack; else MARGIN_DATA, else .margin", show_default=False),
]
_Json = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]
_WATCH_S = 1.0


def register(app: typer.Typer) -> None:
    app.command("up")(_up)
    app.command("down")(_down)
    app.command("status")(_status)


def _folder(data: Path | None) -> Path:
    folder = data.absolute() if data else settings().data_folder
    if folder.exists() and not folder.is_dir():
        raise bad_input(f"--data: not a folder, value {str(folder)!r}")
    return folder


def _names(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise bad_input(f"{option}: names no component, value {text!r}")
    return names


def _up(
    data: _Data = None,
    only: Annotated[
        str | None, typer.Option(help="start these components and what they need, comma-separated")
    ] = None,
    without: Annotated[
        str | None, typer.Option(help="start everything but these components, comma-separated")
    ] = None,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="stay, and stop the stack on Ctrl-C")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Start what of the local stack is not running yet:
    Kafka, AWS endpoint, Dagster, dashboard, simulated venue.
    """
    from margin_platform.stack.status import summary

    folder = _folder(data)
    _start(folder, _names("--only", only), _names("--without", without))
    # from now on, so that Ctrl-C while the table prints counts too
    stop = stop_on_signals() if foreground else None
    _show(summary.status(folder), as_json)
    if stop is not None:
        raise typer.Exit(_stay(folder, stop))


def _start(folder: Path, only: list[str] | None, without: list[str] | None) -> None:
    from margin_platform.jars.resolve import JarsUnavailable
    from margin_platform.stack import supervisor
    from margin_platform.stack.processes import StartFailed

    try:
        supervisor.up(folder, only=only, without=without, progress=lambda line: echo(line, err=True))
    except ValueError as error:
        raise bad_input(str(error)) from error
    except (StartFailed, JarsUnavailable, OSError) as error:
        raise failed(error) from error


def _stay(folder: Path, stop: StopSignal) -> int:
    """Wait for a word to stop, or a component that ended and is not started again; then stop everything.

    1 where a component ended for good.
    """
    from margin_platform.stack import state, supervisor
    from margin_platform.stack.keeping.condition import ended_for_good

    ended: set[str] = set()
    while not ended and not stop.wait(_WATCH_S):
        ended = ended_for_good(state.load(folder))
    for name in sorted(ended):
        echo(f"margin: {name} ended by itself, see {state.load(folder).components[name].log}", err=True)
    supervisor.down(folder)
    return 1 if ended else 0


def _down(data: _Data = None, as_json: _Json = False) -> None:
    """Stop the local stack and everything it started. Its data stays: the next `margin up` continues."""
    from margin_platform.stack import supervisor

    folder = _folder(data)
    stopped = supervisor.down(folder)
    if as_json:
        print_json({"data": str(folder), "stopped": stopped})
    else:
        echo(f"stopped: {', '.join(stopped)}" if stopped else f"nothing was running in {folder}")


def _status(data: _Data = None, as_json: _Json = False) -> None:
    """Show what of the local stack is running, where, with how much memory, what its topics hold, and how far
    its streams are.

    The streams' figures come from their Prometheus endpoint. Exit 1 where a component is not up, the streams
    do not answer although Dagster should run them, or a customer's notice reached no one (see `margin
    notices`).
    """
    from margin_platform.stack.status import summary

    folder = _folder(data)
    figures = summary.status(folder) | {"unreached": _unreached(folder)}
    _show(figures, as_json)
    streams = figures["streams"]
    if (
        not figures["up"]
        or figures["unreached"]
        or (streams and streams["expected"] and not streams["answers"])
    ):
        raise typer.Exit(1)


def _unreached(folder: Path) -> int | None:
    """Return how many notices of this stack reached no one; None where its store cannot be read."""
    from sqlalchemy.exc import SQLAlchemyError

    from margin_platform.cli.notices import listed
    from margin_platform.stack import state
    from margin_platform.store.store import Store, StoreOutdated

    url = state.load(folder).environment.get("MARGIN_STORE", f"sqlite:///{folder / 'store.db'}")
    try:
        with Store(url, read_only=True) as store:
            return len(listed(store))
    except (SQLAlchemyError, OSError, StoreOutdated):
        return None


def _show(figures: Json, as_json: bool) -> None:
    if as_json:
        print_json(figures)
        return
    console = screen(highlight=False)
    if figures.get("unreached"):
        echo(f"notices that reached no one: {figures['unreached']:,}; see `margin notices`")
    if not figures["components"]:
        echo(f"nothing was started in {figures['data']}")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("component", "pid", "state", "where"):
        table.add_column(title)
    table.add_column("memory", justify="right")
    for row in figures["components"]:
        condition = "ready" if row["ready"] else "starting" if row["alive"] else "not running"
        table.add_row(
            row["name"], str(row["pid"]), condition, row["url"] or "", f"{row['memory_mb']:,.0f} MB"
        )
    print_table(table, highlight=False)
    for line in _kept_lines(figures["components"]):
        echo(line)
    echo(f"memory of all: {figures['memory_mb']:,.0f} MB; data and logs: {figures['data']}")
    if figures["topics"]:
        held = ", ".join(f"{name} {count:,}" for name, count in figures["topics"].items() if count)
        echo(f"events: {held or 'none yet'}")
    if figures["streams"]:
        _show_streams(console, figures["streams"])


def _kept_lines(rows: list[Json]) -> list[str]:
    """List what the keeper started again, and what it gave up."""
    lines = [
        (
            f"{row['name']}: started again within the last 10 minutes, restarts: {row['restarts']}; see "
            "logs/keeper.log"
        )
        for row in rows
        if row["restarts"] and not row["given_up"]
    ]
    return lines + [f"given up: {row['given_up']}" for row in rows if row["given_up"]]


def _show_streams(console: Screen, streams: Json) -> None:
    if streams["answers"]:
        console.print(_streams_table(streams["streams"]))
        echo(f"the streams' figures: {streams['url']}")
    elif streams["expected"]:
        echo(
            f"the streams do not answer at {streams['url']} ({streams['reason']}): Dagster starts them "
            'within a minute of the stack; later than that, see its job "streams"'
        )


def _streams_table(rows: list[Json]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stream")
    for title in ("lag", "last batch (UTC)", "took", "oldest input", "dead letters"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["stream"],
            "" if row["lag"] is None else f"{row['lag']:,}",
            _time_of_day(row["last_batch_at"]),
            _seconds(row["batch_seconds"]),
            _seconds(row["oldest_input_seconds"]),
            f"{row['dead_letters']:,}",
        )
    return table


def _time_of_day(at_ms: int | None) -> str:
    return (
        "none yet" if at_ms is None else f"{dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC):%m-%d %H:%M:%S}"
    )


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} s" if value >= 10 else f"{value:.2f} s"
