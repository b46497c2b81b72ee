"""Emission: whose figures are published now, what was last published of each account, which figures wait.

A market-wide tick changes a million accounts, and a million encoded events cost two seconds. So a batch
publishes immediately the accounts whose band changed or that traded, then the largest material changes up to
the policy's number; the others wait for `overdue`, which returns them longest wait first, and always with the
figures of that moment.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.compiled import inlined, kept_on_disk
from margin_platform.policy.sections import EmissionPolicy
from margin_platform.snapshots.bands import Level

Numbers = NDArray[np.int64]
Bands = NDArray[np.int32]
Mask = NDArray[np.bool_]
Column = NDArray[Any]
Changes = dict[str, tuple[Numbers, Column]]  # by column: accounts and values

_NOT_WAITING = -1
_NO_BAND = -1
_EMPTY = {
    "band": (np.int32, Level.CLEAR),
    "equity": (np.float64, np.nan),
    "requirement": (np.float64, np.nan),
    "stress": (np.float64, np.nan),
    "since": (np.int64, _NOT_WAITING),
}


class Chosen(NamedTuple):
    """Rows to publish now, ascending; and whether a decision may follow from each."""

    rows: Numbers
    decisive: Mask


class Emission:
    """Columns by account number: band, equity and requirement as published (NaN: never), worst stressed
    excess as published, and since which batch newer figures wait.
    """

    def __init__(self, policy: EmissionPolicy) -> None:
        self.policy = policy
        self._n = 0
        self.has_forgotten = False  # bands: every account is to be evaluated
        self._columns: dict[str, Column] = {
            name: np.full(0, empty, dtype=kind) for name, (kind, empty) in _EMPTY.items()
        }
        self._changed: dict[str, list[Numbers]] | None = None  # accounts, by column, since `changes`

    def grow(self, accounts: int) -> None:
        """Make room for that many accounts."""
        room = len(self._columns["band"])
        if accounts > room:
            more = max(accounts - room, room, 1024)
            for name, (kind, empty) in _EMPTY.items():
                self._columns[name] = np.concatenate([self._columns[name], np.full(more, empty, dtype=kind)])
        self._n = max(self._n, accounts)

    def bands(self, accounts: Numbers) -> Bands:
        """Return the bands in which accounts were last evaluated."""
        found: Bands = self._columns["band"][accounts]
        return found

    def forget_bands(self) -> None:
        """Forget the bands, as under another policy: the next batch says where each account stands."""
        self._columns["band"][: self._n] = _NO_BAND
        self._look_for_forgotten()

    def _look_for_forgotten(self) -> None:
        self.has_forgotten = bool((self._columns["band"][: self._n] == _NO_BAND).any())

    def choose(self, margin: Margin, bands: Bands, traded: Mask, batch_id: int) -> Chosen:
        """Choose the rows of `margin` to publish now: those at once whose band changed or that traded, and
        the largest material changes while the batch has room.

        bands, traded: by row. The other rows wait; a row's change is measured against what was last
        published.
        """
        now = _Evaluated(margin.accounts, bands, traded, margin.equity, margin.requirement, margin.gross_mv)
        found = self._sorted_out(now, batch_id)
        self._note(found.banded, "band")
        self._note(found.waiting, "since")
        if self.has_forgotten:
            self._look_for_forgotten()
        large = _largest(found.moved, max(0, self.policy.calc_per_batch - len(found.at_once)))
        chosen = np.sort(np.concatenate([found.at_once, found.left[large]]))
        self.published(margin, chosen)
        return Chosen(chosen, found.decisive[chosen])

    def _sorted_out(self, now: _Evaluated, batch_id: int) -> _Found:
        """Put bands, and since when accounts wait, in their columns; return what there is to publish."""
        rows = len(now.accounts)
        at_once, left, banded, waiting = (np.empty(rows, dtype=np.int64) for _ in range(4))
        found = _Found(at_once, left, banded, waiting, np.empty(rows), np.empty(rows, dtype=np.bool_))
        before = _Before(*(self._columns[name] for name in _Before._fields))
        counts = np.zeros(4, dtype=np.int64)
        _sort_out(tuple(now), tuple(before), self.policy.material_share, batch_id, tuple(found), counts)
        once, rest, other, begun = counts.tolist()
        return _Found(
            at_once[:once], left[:rest], banded[:other], waiting[:begun], found.moved[:rest], found.decisive
        )

    def published(self, margin: Margin, rows: Numbers) -> None:
        """Note that these rows are published: nothing newer waits of their accounts."""
        accounts = margin.accounts[rows]
        self._note(accounts, "equity", "requirement", "since")
        self._columns["equity"][accounts] = margin.equity[rows]
        self._columns["requirement"][accounts] = margin.requirement[rows]
        self._columns["since"][accounts] = _NOT_WAITING

    def stressed_anew(self, margin: Margin) -> Mask:
        """Select rows whose stress rows are published with them: the worst stressed excess changed its sign
        or moved by the policy's share of gross value.
        """
        before, now = self._columns["stress"][margin.accounts], margin.worst_stress
        moved = np.abs(now - before) > self.policy.stress_step * margin.gross_mv
        changed: Mask = ~np.isnan(now) & (np.isnan(before) | ((before < 0) != (now < 0)) | moved)
        self._note(margin.accounts[changed], "stress")
        self._columns["stress"][margin.accounts[changed]] = now[changed]
        return changed

    def overdue(self) -> Numbers:
        """Return the numbers of the accounts whose figures wait, longest first, as many as one batch may
        publish; ascending.
        """
        since = self._columns["since"][: self._n]
        waiting = np.flatnonzero(since != _NOT_WAITING)
        return np.sort(waiting[_largest(-since[waiting], self.policy.calc_per_batch)])

    def waiting(self) -> int:
        """Count the accounts with figures newer than the published ones."""
        return int((self._columns["since"][: self._n] != _NOT_WAITING).sum())

    # -- durable state

    def _note(self, accounts: Numbers, *columns: str) -> None:
        if self._changed is not None:
            for name in columns:
                self._changed[name].append(accounts)

    def changes(self) -> Changes:
        """Return by column the accounts that changed since the last call, and their values now.

        The first call returns nothing. `forget_bands` is none of these.
        """
        noted, self._changed = self._changed or {}, {name: [] for name in _EMPTY}
        found = {name: np.unique(np.concatenate(parts)) for name, parts in noted.items() if parts}
        return {name: (accounts, self._columns[name][accounts]) for name, accounts in found.items()}

    def apply(self, changes: Changes) -> None:
        """Put changes in the place of what is there, as after the evaluations that made them."""
        for name, (accounts, values) in changes.items():
            self.grow(int(accounts.max(initial=-1)) + 1)
            self._columns[name][accounts] = values
        if self.has_forgotten:
            self._look_for_forgotten()

    def to_state(self) -> dict[str, Column]:
        """Copy the columns."""
        return {name: column[: self._n].copy() for name, column in self._columns.items()}

    def restore(self, state: dict[str, Column]) -> None:
        self._n = len(state["band"])
        self._columns = {name: state[name].astype(kind) for name, (kind, _) in _EMPTY.items()}
        self._look_for_forgotten()


class _Evaluated(NamedTuple):
    """What a batch found, by row."""

    accounts: Numbers
    bands: Bands
    traded: Mask
    equity: Floats
    requirement: Floats
    gross: Floats


class _Before(NamedTuple):
    """Columns of `Emission`, by account."""

    band: Bands
    equity: Floats
    requirement: Floats
    since: Numbers


class _Found(NamedTuple):
    """Rows to publish at once; rows `left` whose change, `moved`, is material; accounts in another band, and
    that begin to wait. Each has a count. decisive: by row.
    """

    at_once: Numbers
    left: Numbers
    banded: Numbers
    waiting: Numbers
    moved: Floats
    decisive: Mask


@inlined
def _moved(now: _Evaluated, row: int, before: _Before, account: int) -> float:
    """Return how far equity or requirement moved, as a share of gross value; infinite for the first time and
    where a figure became known or unknown.
    """
    equity = before.equity[account]
    of_equity = abs(now.equity[row] - equity)
    of_requirement = abs(now.requirement[row] - before.requirement[account])
    if not math.isnan(of_equity + of_requirement):
        moved = max(of_equity, of_requirement)
    elif math.isnan(now.equity[row]) and math.isnan(equity):
        moved = 0.0
    else:
        moved = math.inf
    share: float = moved / max(1.0, now.gross[row])  # 1.0 too where gross is not known
    return share


@inlined
def _decides(band: int, before: int, traded: bool) -> bool:
    """Return whether a decision may follow: from another band, or from a trade while an episode is open."""
    return band != before or (traded and band != Level.CLEAR.value)


def _entry(
    evaluated: tuple[Any, ...],
    columns: tuple[Any, ...],
    material: float,
    batch: int,
    lists: tuple[Any, ...],
    counts: Numbers,
) -> None:
    now, before, found = _Evaluated(*evaluated), _Before(*columns), _Found(*lists)
    at_once = left = banded = waiting = 0
    for row in range(len(now.accounts)):
        account, band = now.accounts[row], now.bands[row]
        found.decisive[row] = _decides(band, before.band[account], now.traded[row])
        if band != before.band[account]:
            before.band[account] = band
            found.banded[banded] = account
            banded += 1
        if before.since[account] == _NOT_WAITING:
            before.since[account] = batch
            found.waiting[waiting] = account
            waiting += 1
        if now.traded[row] or found.decisive[row]:
            found.at_once[at_once] = row
            at_once += 1
            continue
        moved = _moved(now, row, before, account)
        if moved > material:
            found.left[left], found.moved[left] = row, moved
            left += 1
    counts[:] = (at_once, left, banded, waiting)


_sort_out = kept_on_disk(_entry)


def _largest(values: Column, most: int) -> Numbers:
    """Return the places of the largest values, of equal ones the first.

    A sort of a million accounts cost more than their valuation, and so many are far from the largest: the
    last of the largest is no less than that of a part of them.
    """
    if not most:
        return np.zeros(0, dtype=np.int64)
    if len(values) <= most:
        return np.arange(len(values))
    part = values[:: max(1, math.isqrt(len(values) // most))]
    near = np.flatnonzero(values >= _last_of_largest(part, most))
    least = _last_of_largest(values[near], most)
    above = near[values[near] > least]
    return np.concatenate([above, near[values[near] == least][: most - len(above)]])


def _last_of_largest(values: Column, most: int) -> float:
    return float(np.partition(values, len(values) - most)[len(values) - most])
