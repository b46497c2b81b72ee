"""Rows of a bar's margin as plain numbers, and what the ladder sees of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from margin_platform.kernel.account_rows import stale_symbols
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Market
from margin_platform.ladder.observation import Observation
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
        seen = margin.take(rows)
        published = seen.published
        columns = (published.equity, published.gross_mv, published.requirement, published.excess)
        moves = margin.policy.stress.scenarios
        stressed = seen.stress_excess_recomputed
        worst: list[float | None] = (
            [moves[k] for k in stressed.argmin(axis=1).tolist()] if len(moves) else [None] * len(rows)
        )
        equity, gross, requirement, excess = (column.tolist() for column in columns)
        return Rows(seen.accounts.tolist(), codes[rows].tolist(), equity, gross, requirement, excess, worst)


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
