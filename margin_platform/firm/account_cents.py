"""The newest known figures of accounts in whole cents, and their sums: compiled, one pass over what was
evaluated.

A row is exposure, net value, equity, a bit for each SPY move in which the account is called, and its P&L by
SPY move. What is unsecured under a move follows from equity and P&L.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.compiled import kept_on_disk, kernel
from margin_platform.kernel.sweep.whole_cents import published_equity
from margin_platform.money import round_cents, whole_cents

Cents = NDArray[np.int64]
Mask = NDArray[np.bool_]
EXPOSURE, NET, EQUITY, CALLS, PNL = range(5)


class Given(NamedTuple):
    """Exact figures by evaluated account. pnl: (accounts, moves), empty where it is exposure times move."""

    accounts: NDArray[np.int64]
    equity: Floats
    long_mv: Floats
    short_mv: Floats
    exposure: Floats
    pnl: Floats
    recomputed: Floats
    moves: Floats


class Kept(NamedTuple):
    """Rows by account number. known: there is a row; valued: it is of the last evaluation."""

    rows: Cents
    known: Mask
    valued: Mask


@kernel
def _in_cents(dollars: float) -> int:
    return int(whole_cents(dollars))


@kernel
def _write(given: Given, n: int, row: Cents) -> None:
    net = given.long_mv[n] - given.short_mv[n]
    row[EXPOSURE], row[NET] = _in_cents(given.exposure[n]), _in_cents(net)
    row[EQUITY] = _in_cents(published_equity(given.equity[n], net))
    calls = 0
    for s in range(len(given.moves)):
        excess = given.recomputed[n, s]
        if excess < 0.0 and round_cents(excess) < 0.0:
            calls |= 1 << s
    row[CALLS] = calls
    if len(given.pnl) > 0:
        for s in range(len(given.moves)):
            row[PNL + s] = _in_cents(given.pnl[n, s])
    else:
        exposure = given.exposure[n]
        for s in range(len(given.moves)):
            row[PNL + s] = _in_cents(exposure * given.moves[s])


@kernel
def _replace(row: Cents, now: Cents, sums: Cents) -> None:
    """Put a row in the place of another, and in the sums: exposure, |exposure|, net value, then by move P&L,
    unsecured amount and call. A row of zeros counts nothing.
    """
    moves = len(row) - PNL
    sums[0] += now[EXPOSURE] - row[EXPOSURE]
    sums[1] += abs(now[EXPOSURE]) - abs(row[EXPOSURE])
    sums[2] += now[NET] - row[NET]
    equity, calls, equity_before, calls_before = now[EQUITY], now[CALLS], row[EQUITY], row[CALLS]
    for s in range(moves):
        pnl, before = now[PNL + s], row[PNL + s]
        sums[3 + s] += pnl - before
        sums[3 + moves + s] += max(0, -(equity + pnl)) - max(0, -(equity_before + before))
    if calls != calls_before:
        for s in range(moves):
            sums[3 + 2 * moves + s] += ((calls >> s) & 1) - ((calls_before >> s) & 1)
    for column in range(len(row)):
        row[column] = now[column]


def _entry(given: tuple[np.ndarray, ...], kept: tuple[np.ndarray, ...], sums: Cents) -> None:
    now, (rows, known, valued) = Given(*given), kept
    row = np.zeros(rows.shape[1], dtype=np.int64)
    for n in range(len(now.accounts)):
        account = now.accounts[n]
        valued[account] = not math.isnan(now.equity[n])
        if not valued[account]:
            continue
        _write(now, n, row)
        _replace(rows[account], row, sums)
        known[account] = True


take = kept_on_disk(_entry)


def _leaders(rows: Cents, least: Cents, found: Cents, counts: Cents) -> None:
    """Write the numbers of the accounts whose amount reaches the least of its column: |exposure|, then what
    is unsecured by move. counts: how many they are, also of those that `found` has no room for.
    """
    for n in range(len(rows)):
        row = rows[n]
        for column in range(len(least)):
            move = PNL + column - 1
            amount = max(0, -(row[EQUITY] + row[move])) if column > 0 else abs(row[EXPOSURE])
            if amount >= least[column]:
                if counts[column] < found.shape[1]:
                    found[column, counts[column]] = n
                counts[column] += 1


leaders = kept_on_disk(_leaders)


def unsecured(rows: Cents, move: int) -> Cents:
    """Return what each account would owe beyond its collateral under a move, by its number."""
    owed: Cents = np.maximum(0, -(rows[:, EQUITY] + rows[:, PNL + move]))
    return owed


def wide(rows: Cents) -> Cents:
    """Return rows as they are kept in a state: each account's part of the sums."""
    moves = rows.shape[1] - PNL
    lost = [unsecured(rows, s) for s in range(moves)]
    calls = [(rows[:, CALLS] >> s) & 1 for s in range(moves)]
    exposure = rows[:, EXPOSURE]
    pnl = list(rows[:, PNL:].T)
    return np.stack([exposure, np.abs(exposure), rows[:, NET], *pnl, *lost, *calls], axis=1)


def narrow(rows: Cents) -> Cents:
    """Return kept rows of those of a state. Equity, where nothing is unsecured, only has to be enough."""
    moves = (rows.shape[1] - 3) // 3
    pnl, lost, calls = np.split(rows[:, 3:], 3, axis=1)
    short = lost.argmax(axis=1)[:, None]
    owed = np.take_along_axis(-lost - pnl, short, axis=1)[:, 0]
    equity = np.where(lost.any(axis=1), owed, np.maximum(0, (-pnl).max(axis=1)))
    bits = (calls << np.arange(moves)).sum(axis=1)
    return np.column_stack([rows[:, 0], rows[:, 2], equity, bits, pnl])
