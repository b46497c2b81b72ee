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
from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk
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


class Sums(NamedTuple):
    """Parts of the sums. accounts: exposure, |exposure| and net value; the others by SPY move."""

    accounts: Cents
    pnl: Cents
    unsecured: Cents
    calls: Cents


@inlined
def _in_cents(dollars: float) -> int:
    return int(whole_cents(dollars))


@inlined
def _write(given: Given, n: int, row: Cents) -> None:
    net = given.long_mv[n] - given.short_mv[n]
    row[EXPOSURE], row[NET] = _in_cents(given.exposure[n]), _in_cents(net)
    row[EQUITY] = _in_cents(published_equity(given.equity[n], net))
    row[CALLS] = 0
    for s in range(len(given.moves)):
        excess = given.recomputed[n, s]
        if excess < 0.0 and round_cents(excess) < 0.0:
            row[CALLS] |= 1 << s


@inlined
def _write_pnl(given: Given, n: int, pnl: Cents) -> None:
    if len(given.pnl) > 0:
        for s in range(len(pnl)):
            pnl[s] = _in_cents(given.pnl[n, s])
    else:
        exposure = given.exposure[n]
        for s in range(len(pnl)):
            pnl[s] = _in_cents(exposure * given.moves[s])


@inlined
def _replace(row: Cents, now: Cents, sums: Sums) -> None:
    """Put a row in the place of another, less its P&L, and in the sums. A row of zeros counts nothing."""
    sums.accounts[0] += now[EXPOSURE] - row[EXPOSURE]
    sums.accounts[1] += abs(now[EXPOSURE]) - abs(row[EXPOSURE])
    sums.accounts[2] += now[NET] - row[NET]
    if now[CALLS] != row[CALLS]:
        for s in range(len(sums.calls)):
            sums.calls[s] += ((now[CALLS] >> s) & 1) - ((row[CALLS] >> s) & 1)
    for column in range(PNL):
        row[column] = now[column]


@inlined
def _replace_pnl(before: Cents, now: Cents, equity_before: int, equity: int, sums: Sums) -> None:
    """Put a row's P&L in the place of another.

    A loop for each kind of sum, so that the processor adds many moves at once.
    """
    for s in range(len(now)):
        sums.pnl[s] += now[s] - before[s]
    for s in range(len(now)):
        sums.unsecured[s] += min(0, equity_before + before[s]) - min(0, equity + now[s])
    for s in range(len(now)):
        before[s] = now[s]


def _entry(given: tuple[np.ndarray, ...], kept: tuple[np.ndarray, ...], totals: Cents) -> None:
    now, (rows, known, valued) = Given(*given), kept
    moves = len(now.moves)
    sums = Sums(
        np.zeros(3, np.int64), np.zeros(moves, np.int64), np.zeros(moves, np.int64), np.zeros(moves, np.int64)
    )
    row, pnl = np.zeros(PNL, dtype=np.int64), np.zeros(moves, dtype=np.int64)
    for n in range(len(now.accounts)):
        account = now.accounts[n]
        valued[account] = not math.isnan(now.equity[n])
        if not valued[account]:
            continue
        _write(now, n, row)
        _write_pnl(now, n, pnl)
        equity = rows[account, EQUITY]
        _replace(rows[account], row, sums)
        _replace_pnl(rows[account, PNL:], pnl, equity, row[EQUITY], sums)
        known[account] = True
    totals += np.concatenate((sums.accounts, sums.pnl, sums.unsecured, sums.calls))


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
