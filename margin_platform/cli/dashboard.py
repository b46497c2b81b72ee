"""`margin dashboard`: the live page over any brokers, until Ctrl-C."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from margin_platform.cli.broker import Bootstrap, Data, broker_of
from margin_platform.cli.output import bad_input, echo, failed, print_json
from margin_platform.settings import settings


def register(app: typer.Typer) -> None:
    @app.command()
    def dashboard(
        bootstrap: Bootstrap = None,
        data: Data = None,
        host: Annotated[
            str | None, typer.Option(help="address to listen on; anything but loopback needs a token")
        ] = None,
        port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 picks a free port")] = None,
        token: Annotated[
            str | None, typer.Option(help="what a browser must know; better set MARGIN_DASHBOARD_TOKEN")
        ] = None,
        origin: Annotated[
            list[str] | None, typer.Option(help="a further site that may connect, e.g. https://risk.example")
        ] = None,
        quiet: Annotated[
            float, typer.Option(min=1, help="seconds without a margin event after which the page turns gray")
        ] = 60.0,
        history: Annotated[
            int, typer.Option(min=0, help="prices and published records read back per partition at the start")
        ] = 200_000,
        as_json: Annotated[
            bool, typer.Option("--json", help="print where it listens as one line of JSON")
        ] = False,
    ) -> None:
        """Serve the live dashboard: every account's margin as it moves. Read-only; Ctrl-C ends it."""
        from margin_platform.dashboard.server.app import Options
        from margin_platform.dashboard.server.serving import serve

        known = settings()
        options = Options(
            bootstrap=broker_of(bootstrap, data),
            host=host or known.dashboard.host,
            token=token or known.dashboard.token,
            origins=tuple(origin or ()),
            dagster_url=known.dagster_url,
            quiet_s=quiet,
            history=history,
        )

        def announce(url: str, bound: int) -> None:
            if as_json:
                print_json({"url": url, "port": bound, "pid": os.getpid()}, indented=False)
            else:
                echo(f"Dashboard at {url}")

        try:
            serve(options, known.dashboard.port if port is None else port, announce)
        except ValueError as error:
            raise bad_input(str(error)) from error
        except OSError as error:
            raise failed(f"{options.host}: {error.strerror}") from error
