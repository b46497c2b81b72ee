"""Options and arguments that several commands share, and the checks of what a person gives with an act."""

from __future__ import annotations

from typing import Annotated

import typer

from margin_platform.cli.output import bad_input

Store = Annotated[
    str | None, typer.Option(help="SQLAlchemy URL of the store (default: MARGIN_STORE)", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Account = Annotated[str, typer.Argument(help="account id")]


def checked_account(account: str) -> str:
    """Return the account id of an act; bad input where it is none."""
    from margin_platform.contracts.identity import refusal_of_id

    if reason := refusal_of_id(account):
        raise bad_input(f"account: {reason}, value {account!r}")
    return account


def checked_why(why: str) -> str:
    """Return the reason that a person gives for an act; bad input where it is blank."""
    if not why.strip():
        raise bad_input(f"--why: empty, value {why!r}")
    return why
