"""Rows of a bar's margin as plain numbers, and what the ladder sees of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.account_rows import stale_symbols
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.sweep.compiled import kept_on_disk
from margin_platform.kernel.sweep.whole_cents import published_equity, published_excess, published_gross
from margin_platform.ladder.observation import Observation
from margin_platform.money import round_cents
from margin_platform.snapshots.bands import BandFlag


@dataclass(frozen=True)
class Rows:
    """Some rows of a bar's margin as plain numbers, rounded once for all of them:
    dollars, and the SPY move that hurts most.
    """

    number: list[int]
    code: list[int]
    equity: list[float]
    gross: list[float]
    requirement: list[float]
    excess: list[float]
    worst: list[float | None]

    @staticmethod
    def of(margin: Margin, codes: np.ndarray, rows: np.ndarray) -> Rows:
        figures = np.empty((4, len(rows)))
        _published(rows, margin.equity, margin.long_mv, margin.short_mv, margin.requirement, figures)
        moves = margin.policy.stress.scenarios
        stressed = margin.stress_excess_recomputed[rows]
        worst: list[float | None] = (
            [moves[k] for k in stressed.argmin(axis=1).tolist()] if len(moves) else [None] * len(rows)
        )
        equity, gross, requirement, excess = figures.tolist()
        return Rows(
            margin.accounts[rows].tolist(), codes[rows].tolist(), equity, gross, requirement, excess, worst
        )


def _entry(
    rows: NDArray[np.int64],
    equity: Floats,
    long_mv: Floats,
    short_mv: Floats,
    requirement: Floats,
    figures: Floats,
) -> None:
    """Write equity, gross value, requirement and excess of some rows, as they are published."""
    for n in range(len(rows)):
        r = rows[n]
        net = long_mv[r] - short_mv[r]
        figures[0, n] = published_equity(equity[r], net)
        figures[1, n] = published_gross(long_mv[r], short_mv[r])
        figures[2, n] = round_cents(requirement[r])
        figures[3, n] = published_excess(equity[r], net, requirement[r])


_published = kept_on_disk(_entry)


def observation(rows: Rows, at: int, book: Book, market: Market, time: int, calc_id: str) -> Observation:
    """Return what the ladder sees of a row, straight from the columns;
    a test holds it equal to what it sees live.
    """
    number, code = rows.number[at], rows.code[at]
    span = range(int(book.offsets[number]), int(book.offsets[number + 1]))
    stale = stale_symbols(span, book, market) if code & BandFlag.STALE else []
    figures = (rows.equity[at], rows.gross[at], rows.requirement[at], rows.excess[at])
    return Observation.of_row(
        book.account_ids[number],
        time,
        figures,
        severe_underwater=bool(code & BandFlag.STRESS),
        stale_symbols=stale,
        calc_id=calc_id,
    )
