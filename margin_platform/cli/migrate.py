"""`margin migrate`: create the decision store, or bring its schema to this program's, once per start.

`margin up` and `make dev` do it themselves. A cluster runs it before its Dagster starts; no sensor and no run
changes a schema.
"""

from __future__ import annotations

from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, echo, failed, print_json


def migrate(
    store: Annotated[
        str | None, typer.Option(help="SQLAlchemy URL of the decision store; else MARGIN_STORE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Create the decision store, or migrate its schema; nothing changes where that is done already."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

    from margin_platform.settings import settings
    from margin_platform.store.store import SCHEMA, Store, without_password

    url = store or settings().store_url
    try:
        with Store(url):
            where = make_url(url).render_as_string()
    except (ArgumentError, NoSuchModuleError) as error:
        raise bad_input(f"store: not a SQLAlchemy URL, value {without_password(url)!r}") from error
    except OperationalError as error:
        raise failed(f"the store does not answer: {' '.join(str(error.orig).split())}") from error
    if as_json:
        print_json({"store": where, "schema": SCHEMA})
    else:
        echo(f"{where}: schema {SCHEMA}")


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(migrate)
