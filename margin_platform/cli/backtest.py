"""`margin backtest`: a price history and a book through the live kernel and ladder,
one or more policies side by side.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from margin_platform.cli.inputs import date_option, read_history
from margin_platform.cli.inputs import document as read_document
from margin_platform.cli.output import bad_input, echo, print_json, print_table, screen
from margin_platform.contracts.json_object import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from margin_platform.backtest.books.events_file import Line
    from margin_platform.backtest.history.flaws import Flaw
    from margin_platform.backtest.history.price_files import PriceHistory
    from margin_platform.backtest.report.run_result import RunResult
    from margin_platform.documents.book_input import BookInput
    from margin_platform.policy.policy import Policy


# Events that are no part of a run: a flaw's kind, and what it counts
_LEFT_OUT = {"after_the_end": "events", "before_the_start": "corporate actions"}


def register(app: typer.Typer) -> None:
    app.command()(backtest)


def backtest(
    prices: Annotated[
        str, typer.Option("--prices", help="CSV or Parquet, long or wide; 'sample' is the bundled history")
    ],
    book: Annotated[
        str,
        typer.Option(
            "--book", help="a book as JSON, as for `margin evaluate`; or sample:N for N generated accounts"
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="folder for the report, its JSON and CSV, and the checkpoints of a killed run"
        ),
    ],
    policy: Annotated[
        list[Path] | None, typer.Option("--policy", help="policy file; give it again to compare")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", help="first date, YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="last date, YYYY-MM-DD")] = None,
    events: Annotated[
        Path | None, typer.Option("--events", help="JSON lines {topic, ...}: fills, cash, corporate actions")
    ] = None,
    adjusted: Annotated[
        bool, typer.Option("--adjusted", help="prices are adjusted levels: no per-share dollar floors")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print the summary as JSON, no progress bar")
    ] = False,
) -> None:
    """Backtest a book: calls, restrictions, liquidations and losses by policy, with a report people
    can read.
    """
    from margin_platform.backtest.report import report

    span = (date_option("from", first), date_option("to", last))
    history, flaws = read_history(prices)
    history = _as_adjusted(history, asked=adjusted)
    on_the_way = _events(events)
    document, checkpoints = _document(book), out / ".checkpoints"
    try:
        results = [
            _one(history, flaws, document, base, span, on_the_way, checkpoints, quiet=as_json)
            for base in _policies(policy or [])
        ]
    except KeyboardInterrupt:
        echo(f"margin: stopped; the same command continues from {checkpoints}", err=True)
        raise typer.Exit(130) from None
    said = report.statement(history.source, adjusted=history.adjusted, sample=_is_sample(history))
    summary = report.write(results, said, out)
    shutil.rmtree(checkpoints)
    if as_json:
        print_json(summary)
    else:
        _say(summary, out)


def _policies(files: Sequence[Path]) -> list[Policy]:
    """Load the policies to compare; the newest shipped one where none is named.

    Ends the program with 2 on an unusable file.
    """
    from margin_platform.policy.policy import PolicyError, current_policy, load_policy_file

    try:
        found = [load_policy_file(path) for path in files] or [current_policy()]
    except PolicyError as error:
        raise bad_input(f"policy: {error}") from error
    versions = [p.version for p in found]
    if len(set(versions)) < len(versions):
        raise bad_input(f"policy.version: two files have the same version, value {versions!r}")
    return found


def _is_sample(history: PriceHistory) -> bool:
    from margin_platform.backtest.history.sample_recognition import is_sample

    return is_sample(history)


def _as_adjusted(history: PriceHistory, *, asked: bool) -> PriceHistory:
    """Mark the history as adjusted where the user asks for it, or where the file is a copy of the bundled
    history."""
    from dataclasses import replace

    return replace(history, adjusted=True) if asked or _is_sample(history) else history


def _events(path: Path | None) -> list[Line]:
    """Read the events on the way. Ends the program with 2, naming line and field."""
    from margin_platform.backtest.books import events_file
    from margin_platform.documents.book_input import InputError

    try:
        return [] if path is None else events_file.read(path)
    except OSError as error:
        raise bad_input(f"{path}: {error.strerror}") from error
    except InputError as error:
        raise bad_input(str(error)) from error


def _document(source: str) -> object:
    """Read the book's document, once for all policies; return the source itself where it says `sample:N`."""
    return source if source.startswith("sample:") else read_document(source)


def _book(
    document: object, base: Policy, history: PriceHistory, first: dt.date | None, traded: set[str]
) -> BookInput:
    """Return the book of a document under a base policy, or `sample:N` generated accounts at the first bar's
    prices.
    """
    from margin_platform.backtest import runs
    from margin_platform.documents.book_input import InputError, parse

    if isinstance(document, str) and document.startswith("sample:"):
        count = document.partition(":")[2]
        if not count.isdecimal() or int(count) < 1:
            raise bad_input(f"book: not sample:N with N accounts, value {document!r}")
        try:
            return runs.generated_at(history, first, int(count), base)
        except ValueError as error:
            raise bad_input(f"book: {document} on {history.source}: {error}") from error
    try:
        return parse(document, base, traded)
    except InputError as error:
        raise bad_input(str(error)) from error


def _one(
    history: PriceHistory,
    flaws: Sequence[Flaw],
    document: object,
    base: Policy,
    span: tuple[dt.date | None, dt.date | None],
    events: Sequence[Line],
    checkpoints: Path,
    *,
    quiet: bool,
) -> RunResult:
    """Run one policy, continued from its checkpoint where a killed run left one."""
    from margin_platform.backtest import parts, runs
    from margin_platform.backtest.books import events_file
    from margin_platform.backtest.history.flaws import HistoryError
    from margin_platform.contracts.messages import BadEvent
    from margin_platform.documents.book_input import InputError

    given = _book(document, base, history, span[0], events_file.symbols(events))
    if _is_sample(history):
        given = runs.keeping_jumps(given)
    try:
        trades = events_file.trades(events, set(given.book.account_ids), set(given.market.symbols))
        job, passed = runs.prepare(history, flaws, given, first=span[0], last=span[1], trades=trades)
    except InputError as error:
        raise bad_input(str(error)) from error
    except HistoryError as error:
        first, *further = map(str, error.flaws)
        raise bad_input(f"prices: {first}", *further) from error
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise bad_input(f"out: {error.strerror}, value {str(checkpoints.parent)!r}") from error
    try:
        with _progress(len(job.path), given.policy.version, quiet=quiet) as progress:
            return parts.execute(
                job, passed, given.policy.version, checkpoints=checkpoints, progress=progress
            )
    except BadEvent as error:
        raise bad_input(f"book or events, {error}") from error


@contextlib.contextmanager
def _progress(total: int, label: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar on stderr where a person looks at it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen(stderr=True),
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done, _: bar.update(task, completed=done)


def _say(summary: Json, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from margin_platform.backtest.report.measures import COUNTED
    from margin_platform.dollars import format_dollars

    run = summary["policies"][0]
    table = Table(
        title=f"Backtest {run['first']} to {run['last']}, {run['accounts']:,} accounts, {run['bars']:,} bars"
    )
    table.add_column("policy", overflow="fold")
    for heading in (*COUNTED, "unsecured debit"):
        table.add_column(heading.replace("_", " "), justify="right")
    for row in summary["policies"]:
        table.add_row(
            Text(row["policy"]),
            *(f"{row[name]:,}" for name in COUNTED),
            format_dollars(row["loss_beyond_equity"]),
        )
    print_table(table)
    console = screen()
    for flaw in summary["flaws"]:
        if flaw["kind"] in _LEFT_OUT:
            console.print(Text(f"{flaw['value']:,} {_LEFT_OUT[flaw['kind']]} {flaw['reason']}"))
    console.print(Text(f"{summary['prices']}\nreport: {out / 'report.html'}"))
