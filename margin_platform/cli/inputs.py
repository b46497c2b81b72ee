"""What commands are given: a JSON document, a book, a price history, a date.

What cannot be used ends the program with 2.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from margin_platform.cli.output import bad_input
from margin_platform.documents.book_input import BookInput, InputError, loads, parse
from margin_platform.policy.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from margin_platform.backtest.history.flaws import Flaw
    from margin_platform.backtest.history.price_files import PriceHistory


def document(source: str) -> Any:
    """Read the JSON of a file or of standard input."""
    try:
        return loads(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as error:
        raise bad_input(f"{source}: {error.strerror}") from error
    except InputError as error:
        raise bad_input(str(error)) from error


def book_of(data: object, base: Policy | None = None) -> BookInput:
    """Return the book of a document, under a base policy (the newest shipped, if none)."""
    try:
        return parse(data, base)
    except InputError as error:
        raise bad_input(str(error)) from error


def read_history(prices: str) -> tuple[PriceHistory, Sequence[Flaw]]:
    """Read the history of a file, or the bundled sample for `sample`.

    Ends the program with 2 and every flaw where it cannot be read.
    """
    from margin_platform.backtest.history import price_files, price_history, sample_market
    from margin_platform.backtest.history.flaws import HistoryError

    if prices == "sample":
        return price_history.of_table(sample_market.closes(), adjusted=True, source=price_history.SAMPLE), []
    try:
        return price_files.read(Path(prices))
    except HistoryError as error:
        first, *further = map(str, error.flaws)
        raise bad_input(f"{prices}: {first}", *further) from error


def date_option(name: str, text: str | None) -> dt.date | None:
    """Read a date YYYY-MM-DD. Ends the program with 2 where it is none."""
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise bad_input(f"{name}: not a date YYYY-MM-DD, value {text!r}") from error
