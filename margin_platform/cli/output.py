"""How commands answer: JSON for machines on stdout, one line on stderr for what cannot be used.

Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import orjson
import typer

if TYPE_CHECKING:
    from margin_platform.store.store import Store


def bad_input(message: str) -> typer.Exit:
    """One line on stderr naming the field and the value; exit code 2."""
    typer.echo(f"margin: {message}", err=True)
    return typer.Exit(2)


def failed(message: object) -> typer.Exit:
    """One line on stderr saying what could not be done; exit code 1."""
    typer.echo(f"margin: {message}", err=True)
    return typer.Exit(1)


def print_json(data: object) -> None:
    """The machine's form of a result, on stdout."""
    typer.echo(
        orjson.dumps(
            data, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        ).decode()
    )


@contextmanager
def recorded(url: str | None, *, read_only: bool = True) -> Iterator[Store]:
    """Open the store (None: MARGIN_STORE).

    End the program where there is none: creating one would look like "no calls".
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

    from margin_platform.settings import settings
    from margin_platform.store.store import Store, StoreMissing, StoreOutdated, check_exists

    given = url or settings().store_url
    try:
        check_exists(make_url(given))
        store = Store(given, read_only=read_only)
    except StoreMissing as error:
        raise bad_input(str(error)) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise bad_input(f"store: not a SQLAlchemy URL, value {given!r}") from error
    except StoreOutdated as error:
        raise failed(error) from error
    except OperationalError as error:
        raise failed(f"the store does not answer: {str(error.orig).strip()}") from error
    with store:
        yield store
