"""`margin demo`: the crash of 2020 through the whole local stack, on one screen."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from margin_platform.cli import demo_screen
from margin_platform.cli.output import bad_input, echo, failed, print_json, screen
from margin_platform.contracts.json_object import Json
from margin_platform.settings import settings, stand_alone


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
        attach: Annotated[
            bool,
            typer.Option("--attach", help="headless, through the stack of MARGIN_KAFKA that runs already"),
        ] = False,
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
        if attach:
            _show(_attached(accounts, seconds), as_json)
            return
        folder = (data or settings().data_folder / "demo").absolute()
        if not may_be_emptied(folder):  # the default as well: MARGIN_DATA may hold anything
            raise bad_input(f"--data: neither empty nor an earlier demo's folder, value {str(folder)!r}")
        stand_alone()  # nothing of the demo may reach a real store, customer or broker
        _show(_run(folder, accounts, seconds, headless or not sys.stdout.isatty()), as_json)


def _show(figures: Json, as_json: bool) -> None:
    if as_json:
        print_json(figures)
    else:
        demo_screen.summary(figures, echo)
    if figures["missing"]:
        raise failed(f"nothing seen of {', '.join(figures['missing'])}")


def _attached(accounts: int, seconds: float) -> Json:
    """Run through a stack that runs already: only on a broker that is named, and topics without data."""
    from margin_platform.demo.run import Demo
    from margin_platform.kafka.broker_errors import BrokerUnreachable

    here = settings()
    if "bootstrap_servers" not in here.kafka.model_fields_set:
        raise bad_input("--attach: needs the broker's address in MARGIN_KAFKA, which is not set")
    console = screen(stderr=True, highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    try:
        return Demo(here.data_folder, accounts, seconds).run_attached(here, demo_screen.lines(say), say)
    except FileExistsError as error:
        raise bad_input(f"--attach: {error}; the demo's data go only where there are none") from error
    except (BrokerUnreachable, LookupError) as error:
        raise failed(error) from error


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
            return demo.run(demo_screen.lines(say), say)
        with Live(console=console, refresh_per_second=2) as live:
            return demo.run(
                lambda figures: live.update(demo_screen.screen_of(figures)),
                say,
                lambda look: _stay(say, look),
            )
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
