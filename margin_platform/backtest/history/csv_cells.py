"""The cells of a CSV file, and the flaw of one whose fields or decimals are written otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from margin_platform.backtest.history.flaws import Flaw, HistoryError

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])\d+(?:\.\d{3})*,\d+(?![\d.,])")
_COUNTS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_WANTED = "write commas between the fields and a decimal point, as in 1234.56"


def read(path: Path) -> pd.DataFrame:
    """Return the cells as text; the index is each row's number in the file, blank lines counted.

    HistoryError where the fields are not separated by commas, or a row has more than the first.
    """
    try:
        cells = pd.read_csv(
            path, dtype=str, keep_default_na=False, skipinitialspace=True, header=None, skip_blank_lines=False
        )
    except pd.errors.ParserError as error:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = [line for line in file if line.strip()][:2]
        raise HistoryError([_other_separator(first) or _uneven(path, error)]) from error
    if cells.shape[1] == 1 and (refused := _other_separator(cells[0].dropna().tolist()[:2])):
        raise HistoryError([refused])
    return cells.set_axis(range(1, len(cells) + 1))


def refusal_of_text(value: object) -> str:
    """Return why a cell is no number, with how to write it where a comma is the reason."""
    return "not a number" + (f": it has a comma; {_WANTED}" if "," in str(value) else "")


def _other_separator(lines: Sequence[str]) -> Flaw | None:
    """Return the flaw of a file whose first row has no comma but another separator; None for any other."""
    header = lines[0].strip() if lines else ""
    found = next((mark for mark in _OTHER_SEPARATORS if mark in header), None)
    if found is None or "," in header:
        return None
    decimal = next((shown for line in lines[1:] if (shown := _DECIMAL_COMMA.search(line))), None)
    said = f"fields separated by {_OTHER_SEPARATORS[found]}"
    said += f" and a decimal comma ({decimal.group()})" if decimal else ""
    return Flaw("columns", "row 1", "all", header, f"{said}: {_WANTED}")


def _uneven(path: Path, error: pd.errors.ParserError) -> Flaw:
    counts = _COUNTS.search(str(error))
    if counts is None:
        return Flaw("unreadable", "-", path.name, None, str(error).strip())
    expected, row, saw = counts.groups()
    reason = f"{saw} fields, and {expected} in row 1. Where a number has a comma, {_WANTED}"
    return Flaw("unreadable", f"row {row}", path.name, None, reason)
