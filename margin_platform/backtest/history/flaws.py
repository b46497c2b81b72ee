"""Flaws of a price history: what each is called, which policy key decides about it, and how the run goes on where it may."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from margin_platform.market.split_shape import split_terms
from margin_platform.policy.policy import Policy

if TYPE_CHECKING:
    from margin_platform.backtest.history.price_files import PriceHistory

# What a flaw is called -> the policy key that decides about it. Others always end the run.
DECIDED_BY = {
    "missing_date": "on_missing_date", "hole": "on_hole", "bad_price": "on_bad_price", "duplicate": "on_duplicate",
    "no_history": "on_no_history", "split_shape": "on_split_shape",
}
NO_TIME = -(1 << 63)   # of a flaw, or a row, that belongs to no bar


@dataclass(frozen=True)
class Flaw:
    """One thing wrong: its kind, where (row and column of the file), the value there, why it is refused, and its bar's time."""

    kind: str
    row: str
    column: str
    value: Any
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


def settle(
    history: PriceHistory, found: Iterable[Flaw], policy: Policy, held: Iterable[str], splits: Sequence[tuple[str, dt.date]] = ()
) -> PriceHistory:
    """The history a run may use: held symbols only, flaws named, each gone on from only as the policy says.

    `splits` are the (symbol, ex-date) known from corporate actions: a jump they explain is no flaw. HistoryError lists
    every flaw whose policy key says refuse.
    """
    rules = policy.backtest
    wanted = list(dict.fromkeys(held))
    within = (int(history.times[0]), int(history.times[-1])) if len(history) else (0, 0)
    flaws = [f for f in found if f.column in wanted or f.column not in history.symbols]
    flaws = [f for f in flaws if f.time == NO_TIME or within[0] <= f.time <= within[1]]
    flaws += missing_dates(history)
    flaws += [Flaw("no_history", "-", s, s, "symbol of the book has no price in the file") for s in wanted if s not in history.symbols]
    jumps = split_shapes(history, policy, set(wanted), set(splits))
    flaws += [flaw for flaw, _, _, _ in jumps]
    refused = [f for f in flaws if f.kind not in DECIDED_BY or getattr(rules, DECIDED_BY[f.kind]) == "refuse"]
    if refused:
        raise HistoryError(refused)
    prices = history.prices
    if rules.on_split_shape == "adjust":
        prices = prices.copy()
        for _, bar, column, ratio in jumps:
            prices[:bar, column] *= ratio
    carried = pd.DataFrame(prices).ffill().to_numpy(np.float64)
    stale = np.isnan(prices)
    return dataclasses.replace(history, prices=carried, stale=stale, flaws=tuple(flaws))


def missing_dates(history: PriceHistory) -> list[Flaw]:
    """Sessions of the exchange calendar between the first and the last bar that have no bar."""
    from margin_platform.trading_time.sessions import sessions_between

    days = history.dates()
    if not days:
        return []
    row_of = {day: int(row) for day, row in zip(days, history.rows, strict=True)}
    flaws = []
    before = int(history.rows[0])
    for session in sessions_between(days[0], days[-1]):
        if session in row_of:
            before = row_of[session]
        else:
            flaws.append(Flaw("missing_date", f"after row {before}", "timestamp", session.isoformat(), "a session without a row"))
    return flaws


def split_shapes(
    history: PriceHistory, policy: Policy, held: set[str], explained: set[tuple[str, dt.date]]
) -> list[tuple[Flaw, int, int, float]]:
    """Jumps over `max_jump` that look like an unadjusted split: (flaw, bar, column, price ratio of the split)."""
    rules = policy.prices
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = history.prices[1:] / history.prices[:-1]
        large = np.abs(ratio - 1.0) > rules.max_jump
    days = history.dates()
    found = []
    for before, column in np.argwhere(large):
        symbol, bar = history.symbols[column], int(before) + 1
        price = float(history.prices[bar, column])
        terms = split_terms(float(history.prices[before, column]), price, rules.split_tolerance)
        if terms is None or symbol not in held or (symbol, days[bar]) in explained:
            continue
        new, old = terms
        name = f"{old}/{new}" if new > 1 else f"{old}"
        reason = f"{days[bar]}: {name} of the price before, shaped like a split"
        flaw = Flaw("split_shape", f"row {history.rows[bar]}", symbol, price, reason, int(history.times[bar]))
        found.append((flaw, bar, int(column), old / new))
    return found
