"""How commands answer: JSON for machines on stdout, one line on stderr for what cannot be used.

Imports nothing heavy.

All that a command prints goes through `echo`, `print_json` or `screen`: what a terminal would act upon is
shown as its escape (`contracts.visible_text`), regardless of its author.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import typer

from margin_platform.contracts.visible_text import visible, visible_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from margin_platform.store.store import Store


_NO_BOUND = 100_000  # columns: wider than any table


def echo(message: object, *, err: bool = False) -> None:
    """Print one line on stdout, or on stderr:
    a line break in it is shown as \\n, so that no text can look like two lines.
    """
    typer.echo(visible(message), err=err)


def bad_input(message: str, *further: str) -> typer.Exit:
    """Print on stderr what names the field and the value; exit code 2.

    further: lines for more flaws of one file. A line break inside of one makes no line of its own.
    """
    echo(f"margin: {message}", err=True)
    for line in further:
        echo(line, err=True)
    return typer.Exit(2)


def failed(message: object) -> typer.Exit:
    """Print on stderr what could not be done, on one line; exit code 1."""
    echo(f"margin: {message}", err=True)
    return typer.Exit(1)


def print_json(data: object, *, indented: bool = True) -> None:
    """Print the machine's form of a result on stdout: indented, or one line."""
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    text = orjson.dumps(data, option=options | orjson.OPT_INDENT_2 if indented else options)
    typer.echo(visible_json(text.decode()))


def screen(**options: Any) -> Console:
    """Return a console of rich whose tables and lines are visible text."""
    from rich.console import Console as RichConsole
    from rich.segment import Segment

    class Visible(RichConsole):
        def render(self, *arguments: Any, **more: Any) -> Iterator[Segment]:
            for segment in super().render(*arguments, **more):
                if segment.control:
                    yield segment
                else:
                    yield Segment(visible(segment.text, keep="\n"), segment.style)

    return Visible(**options)


def print_table(table: Table, *, highlight: bool = True) -> None:
    """Print a table with nothing cut: where the terminal is narrower, its lines wrap.

    highlight: whether numbers get rich's colors.
    """
    console = screen(highlight=highlight)
    unbounded = console.options.update(max_width=_NO_BOUND)
    width = table.__rich_measure__(console, unbounded).maximum
    screen(highlight=highlight, width=max(console.width, width)).print(table)


@contextmanager
def recorded(url: str | None, *, read_only: bool = True) -> Iterator[Store]:
    """Open the store (None: MARGIN_STORE).

    End the program where there is none: creating one would look like "no calls".
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError

    from margin_platform.settings import settings
    from margin_platform.store.store import Store, StoreMissing, StoreOutdated, check_exists, without_password

    given = url or settings().store_url
    try:
        check_exists(make_url(given))
        store = Store(given, read_only=read_only)
    except StoreMissing as error:
        raise bad_input(str(error)) from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise bad_input(f"store: not a SQLAlchemy URL, value {without_password(given)!r}") from error
    except StoreOutdated as error:
        raise failed(error) from error
    except OperationalError as error:
        raise failed(f"the store does not answer: {' '.join(str(error.orig).split())}") from error
    with store:
        yield store
