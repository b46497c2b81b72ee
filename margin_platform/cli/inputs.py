"""What commands are given as a file, or as `-` for standard input: JSON, and a book of it. What cannot be used ends the program with 2."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from margin_platform.cli.output import bad_input
from margin_platform.documents.book_input import BookInput, InputError, loads, parse
from margin_platform.policy.policy import Policy


def document(source: str) -> Any:
    """The JSON of a file or of standard input."""
    try:
        return loads(sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes())
    except OSError as error:
        raise bad_input(f"{source}: {error.strerror}") from error
    except InputError as error:
        raise bad_input(str(error)) from error


def book_of(data: Any, base: Policy | None = None) -> BookInput:
    """The book of a document, under a base policy (the newest shipped, if none)."""
    try:
        return parse(data, base)
    except InputError as error:
        raise bad_input(str(error)) from error
