"""`margin explain ACCOUNT`: why an account stands where it does, or why a call was issued, rebuilt from
what was recorded.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, echo, print_json, recorded


def register(app: typer.Typer) -> None:
    @app.command()
    def explain(
        account: Annotated[str, typer.Argument(help="account id")],
        call: Annotated[str | None, typer.Option(help="one call's id")] = None,
        at: Annotated[
            str | None,
            typer.Option(help="as known at an ISO event time with zone, e.g. 2026-06-04T10:00-04:00"),
        ] = None,
        store: Annotated[
            str | None, typer.Option(help="SQLAlchemy URL of the store (default: MARGIN_STORE)")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of text")] = False,
    ) -> None:
        """Explain a call: positions, prices with ages, each rule's arithmetic, offsets, run and cures; the
        number is computed again.
        """
        from margin_platform.enforcement.explanation import NothingRecorded
        from margin_platform.enforcement.explanation import explain as explained
        from margin_platform.enforcement.explanation_text import lines_of

        with recorded(store) as opened:
            try:
                answer = explained(opened, account, call, _time(at))
            except NothingRecorded as error:
                raise bad_input(str(error)) from error
        if as_json:
            print_json(answer)
        else:
            for line in lines_of(answer):
                echo(line)
        if not answer["evidence"]["matches"]:
            raise typer.Exit(1)


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise bad_input(f"--at: not an ISO time, value {text!r}") from None
    if moment.tzinfo is None:
        raise bad_input(f"--at: without a zone, value {text!r}")
    return int(moment.timestamp() * 1000)
