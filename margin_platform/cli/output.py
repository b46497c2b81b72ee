"""How commands answer: JSON for machines on stdout, one line on stderr for what cannot be used. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

import orjson
import typer


def bad_input(message: str) -> typer.Exit:
    """One line on stderr naming the field and the value; exit code 2."""
    typer.echo(f"margin: {message}", err=True)
    return typer.Exit(2)


def print_json(data: Any) -> None:
    """The machine's form of a result, on stdout."""
    typer.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS).decode())
