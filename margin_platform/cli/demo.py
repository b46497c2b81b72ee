"""`margin demo`: the crash of 2020 through the whole local stack, on one screen."""

from __future__ import annotations

import datetime as dt
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli.output import bad_input, failed, print_json, screen
from margin_platform.contracts.json_object import Json
from margin_platform.money import format_dollars
from margin_platform.settings import settings, stand_alone

if TYPE_CHECKING:
    from rich.console import Group


def register(app: typer.Typer) -> None:
    @app.command()
    def demo(
        seconds: Annotated[float, typer.Option("--for", help="seconds the replay may take")] = 240.0,
        accounts: Annotated[int, typer.Option(help="accounts in the book")] = 1000,
        headless: Annotated[
            bool, typer.Option("--headless", help="no screen; end when the replay ends")
        ] = False,
        data: Annotated[
            Path | None, typer.Option("--data", help="folder of the demo's stack (emptied first)")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print the figures as JSON at the end")] = False,
    ) -> None:
        """Start the stack, seed a book, replay 2020-02-20 to 2020-03-23, show what happens, stop the stack.

        Exit 0 only if every stage did its work: figures and stress of accounts and firm, volatilities, margin
        calls, restrictions, orders, simulated fills, delivered notices, the audit trail, and rows in each
        table.
        """
        from margin_platform.demo.run import may_be_emptied

        if not 0 < seconds < math.inf:
            raise bad_input(f"--for: not a number of seconds above zero, value {seconds!r}")
        if accounts < 10:
            raise bad_input(f"--accounts: below 10, value {accounts!r}")
        folder = (data or settings().data_folder / "demo").absolute()
        if not may_be_emptied(folder):  # the default as well: MARGIN_DATA may hold anything
            raise bad_input(f"--data: neither empty nor an earlier demo's folder, value {str(folder)!r}")
        stand_alone()  # nothing of the demo may reach a real store, customer or broker
        figures = _run(folder, accounts, seconds, headless or not sys.stdout.isatty())
        if as_json:
            print_json(figures)
        if figures["missing"]:
            raise failed(f"nothing seen of {', '.join(figures['missing'])}")


def _run(folder: Path, accounts: int, seconds: float, headless: bool) -> Json:
    from rich.live import Live

    from margin_platform.demo.run import Demo
    from margin_platform.jars.resolve import JarsUnavailable
    from margin_platform.stack.processes import StartFailed

    console = screen(stderr=True, highlight=False)
    demo = Demo(folder, accounts, seconds)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    try:
        if headless:
            return demo.run(_lines(say), say)
        with Live(console=console, refresh_per_second=2) as live:
            return demo.run(lambda figures: live.update(_screen(figures)), say, lambda look: _stay(say, look))
    except (StartFailed, JarsUnavailable, OSError) as error:
        raise failed(error) from error


def _stay(say: Callable[[str], None], look: Callable[[], None]) -> None:
    """Go on showing what the stack does, until Ctrl-C."""
    say("The replay is over. Dashboard and Dagster stay up: look around, then press Ctrl-C.")
    try:
        while True:
            look()
            time.sleep(1)
    except KeyboardInterrupt:
        return


def _lines(say: Callable[[str], None]) -> Callable[[Json], None]:
    """Print one line of progress every ten seconds, for logs."""
    last = [0.0]

    def show(figures: Json) -> None:
        if time.monotonic() - last[0] >= 10:
            last[0] = time.monotonic()
            say(
                f"{_clock(figures['event_clock'])}  {figures.get('done', 0):4.0%}  accounts "
                f"{figures['accounts_by_status']}  calls {figures['calls']}  orders "
                f"{figures['liquidation_orders']}  notices {figures['notifications']}"
            )

    return show


def _clock(at: int) -> str:
    if not at:
        return "before the replay"
    return dt.datetime.fromtimestamp(at / 1000, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def _screen(figures: Json) -> Group:
    from rich.columns import Columns
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    topics = Table("topic", "events", title="Kafka")
    for topic, count in figures["events"].items():
        topics.add_row(topic, f"{count:,}")
    done = "replay ended" if figures.get("ended") else f"{figures.get('done', 0):.0%}"
    state = Table("", "", title=f"{_clock(figures['event_clock'])}  {done}", show_header=False)
    for name, value in _facts(figures):
        state.add_row(name, value)
    links = Text("\n".join(f"{name:18} {url}" for name, url in figures.get("urls", {}).items()))
    return Group(Columns([topics, state]), links)


def _facts(figures: Json) -> list[tuple[str, str]]:
    lag = figures["lag_event_seconds"]
    first = figures["seconds_to_first_margin_call"]
    rows = [
        (f"accounts {status}", f"{count:,}")
        for status, count in sorted(figures["accounts_by_status"].items())
    ]
    rows += [(f"calls: {action}", str(count)) for action, count in sorted(figures["calls"].items())]
    rows += [
        (f"restrictions: {action}", str(count)) for action, count in sorted(figures["restrictions"].items())
    ]
    rows += [(f"notices: {status}", str(count)) for status, count in sorted(figures["notifications"].items())]
    return rows + [
        ("liquidation orders", str(figures["liquidation_orders"])),
        ("simulated fills", str(figures["simulated_fills"])),
        ("dead letters", str(figures["dead_letters"])),
        ("firm beta-weighted exposure", format_dollars(figures["firm_beta_weighted_exposure"])),
        ("firm loss, worst scenario", format_dollars(figures["firm_loss_worst"])),
        ("streams behind (event time)", "–" if lag is None else f"{lag:,.0f} s"),
        ("first margin call after", "–" if first is None else f"{first:g} s of replay"),
    ]
