"""Flaws of a price history: what each is called, and which policy key decides about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# What a flaw is called -> the policy key that decides about it. Others always end the run.
DECIDED_BY = {
    "missing_date": "on_missing_date",
    "no_session": "on_no_session",
    "hole": "on_hole",
    "bad_price": "on_bad_price",
    "duplicate": "on_duplicate",
    "no_history": "on_no_history",
    "split_shape": "on_split_shape",
    "jump": "on_jump",
}
NO_TIME = -(1 << 63)  # of a flaw, or a row, that belongs to no bar


@dataclass(frozen=True)
class Flaw:
    """One thing wrong: its kind, where (row and column of the file), the value there, why it is refused,
    and its bar's time.
    """

    kind: str
    row: str
    column: str
    value: object
    reason: str
    time: int = NO_TIME

    def __str__(self) -> str:
        shown = "" if self.value is None else f", value {self.value!r}"
        return f"{self.row}, column {self.column}: {self.reason}{shown}"


class HistoryError(ValueError):
    """A history that cannot be used; `flaws` names every place."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("\n".join(map(str, flaws)))
        self.flaws = tuple(flaws)
