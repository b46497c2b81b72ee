"""`margin bench [NAME]`: runs one benchmark or all of bench/, each a ratio against a bound measured in the
same run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from margin_platform.cli.output import bad_input, echo, failed, print_json

BENCH = Path(__file__).parents[2] / "bench"


def benchmarks() -> dict[str, str]:
    """Return the name of each benchmark and the first line of its docstring."""
    found = {}
    for path in sorted(BENCH.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "def main(" in text:
            found[path.stem] = text.lstrip('"').splitlines()[0].rstrip('"')
    return found


def _main_of(name: str) -> Callable[[list[str]], int | None]:
    main: Callable[[list[str]], int | None] = importlib.import_module(f"bench.{name}").main
    return main


def register(app: typer.Typer) -> None:
    @app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def bench(
        context: typer.Context,
        name: Annotated[
            str | None, typer.Argument(help="a benchmark; without one, all of them in turn")
        ] = None,
        listing: Annotated[bool, typer.Option("--list", help="list them instead")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="print figures as JSON")] = False,
    ) -> None:
        """Run a benchmark of the repository's bench folder;
        further options go to it (try `margin bench NAME -- --help`).
        """
        if not BENCH.is_dir():
            raise failed("the benchmarks are in the repository, not in the installed package")
        found = benchmarks()
        if name is not None and name not in found:
            raise bad_input(f"NAME: not one of {', '.join(found)}, value {name!r}")
        if listing:
            _list(found, as_json)
            return
        arguments = [*context.args, *(["--json"] if as_json else [])]
        missed = [stem for stem in ([name] if name else found) if _main_of(stem)(arguments)]
        raise typer.Exit(1 if missed else 0)


def _list(found: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for stem, text in found.items():
        echo(f"{stem:<20} {text}")
