"""`margin desk-users`: who may act on calls and letters in the page, each with a token of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, echo, failed, print_json
from margin_platform.settings import settings

_FILE = Annotated[
    Path | None, typer.Option("--file", help="file of users (default: MARGIN_DESK_USERS)", show_default=False)
]
_JSON = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
_NAME = Annotated[str, typer.Argument(help="name of the desk user")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        help="List who may act in the page, and add or end a user.", invoke_without_command=True
    )
    app.add_typer(group, name="desk-users")

    @group.callback()
    def show(context: typer.Context, file: _FILE = None, as_json: _JSON = False) -> None:
        """List the desk users by name."""
        if context.invoked_subcommand is not None:
            return
        names = _listed(_file(file))
        if as_json:
            print_json({"desk_users": names})
            return
        for name in names:
            echo(name)
        if not names:
            echo("no desk user: no one may act in the page")

    group.command("add")(_add)
    group.command("remove")(_remove)


def _add(name: _NAME, file: _FILE = None, as_json: _JSON = False) -> None:
    """Give a name a new token, and print it once. A token of before ends."""
    from margin_platform.dashboard.desk import users

    where = _file(file)
    try:
        token = users.add(where, name)
    except users.BadUsers as error:
        raise bad_input(str(error)) from error
    except OSError as error:
        raise failed(f"{where}: {error.strerror}") from error
    if as_json:
        print_json({"name": name, "token": token, "file": str(where)})
        return
    echo(f"{name} may act in the page with this token, which is not shown again:")
    echo(token)


def _remove(name: _NAME, file: _FILE = None, as_json: _JSON = False) -> None:
    """End a name's token."""
    from margin_platform.dashboard.desk import users

    where = _file(file)
    try:
        users.remove(where, name)
    except users.BadUsers as error:
        raise bad_input(str(error)) from error
    except OSError as error:
        raise failed(f"{where}: {error.strerror}") from error
    if as_json:
        print_json({"removed": name})
    else:
        echo(f"{name} may no longer act")


def _listed(file: Path) -> list[str]:
    from margin_platform.dashboard.desk import users

    try:
        return sorted(users.read(file)) if file.exists() else []
    except users.BadUsers as error:
        raise bad_input(str(error)) from error


def _file(given: Path | None) -> Path:
    file = given or settings().dashboard.desk_users
    if file is None:
        raise bad_input("--file: no file of users, and MARGIN_DESK_USERS is not set, value None")
    return file
