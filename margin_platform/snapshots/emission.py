"""Emission: whose figures are published now, what was last published of each account, which figures wait.

A market-wide tick changes a million accounts, and a million encoded events cost two seconds. So a batch
publishes immediately the accounts whose band changed or that traded, then the largest material changes up to
the policy's number; the others wait for `overdue`, which returns them longest wait first, and always with the
figures of that moment.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.evaluate import Margin
from margin_platform.kernel.market import Floats
from margin_platform.kernel.sweep.compiled import kept_on_disk
from margin_platform.policy.sections import EmissionPolicy
from margin_platform.snapshots.bands import Level

Numbers = NDArray[np.int64]
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

    def bands(self, accounts: Numbers) -> NDArray[np.int32]:
        """Return the bands in which accounts were last evaluated."""
        found: NDArray[np.int32] = self._columns["band"][accounts]
        return found

    def forget_bands(self) -> None:
        """Forget the bands, as under another policy: the next batch says where each account stands."""
        self._columns["band"][: self._n] = _NO_BAND
        self._look_for_forgotten()

    def _look_for_forgotten(self) -> None:
        self.has_forgotten = bool((self._columns["band"][: self._n] == _NO_BAND).any())

    def choose(
        self, margin: Margin, bands: NDArray[np.int32], at_once: Mask, batch_id: int
    ) -> NDArray[np.int64]:
        """Choose the rows of `margin` to publish now, ascending: all of `at_once`, and material changes while
        the batch has room.

        bands, at_once: by row. The other rows wait; a row's change is measured against what was last
        published.
        """
        accounts, column = margin.accounts, self._columns
        self._note(accounts[column["band"][accounts] != bands], "band")
        column["band"][accounts] = bands
        if self.has_forgotten:
            self._look_for_forgotten()
        share = self._change(margin)
        left = np.flatnonzero((share > self.policy.material_share) & ~at_once)
        room = max(0, self.policy.calc_per_batch - int(at_once.sum()))
        if len(left) > room:
            left = left[_largest(share[left], room)]
        chosen = np.sort(np.concatenate([np.flatnonzero(at_once), left]))
        since = column["since"][accounts]
        self._note(accounts[since == _NOT_WAITING], "since")
        column["since"][accounts] = np.where(since == _NOT_WAITING, batch_id, since)
        self.published(margin, chosen)
        return chosen

    def _change(self, margin: Margin) -> NDArray[np.float64]:
        """Measure how far equity or requirement moved since the last publication, as a share of gross value;
        infinite for the first time and where a figure became known or unknown.
        """
        share = np.empty(len(margin.accounts))
        before = self._columns["equity"], self._columns["requirement"]
        _shares_moved(margin.accounts, *before, margin.equity, margin.requirement, margin.gross_mv, share)
        return share

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
        most = self.policy.calc_per_batch
        if len(waiting) > most:
            waiting = np.sort(waiting[_largest(-since[waiting], most)])
        return waiting

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


def _entry(
    accounts: Numbers,
    equity_before: Floats,
    requirement_before: Floats,
    equity: Floats,
    requirement: Floats,
    gross: Floats,
    share: Floats,
) -> None:
    for row in range(len(accounts)):
        before = equity_before[accounts[row]]
        of_equity = abs(equity[row] - before)
        of_requirement = abs(requirement[row] - requirement_before[accounts[row]])
        if not math.isnan(of_equity + of_requirement):
            moved = max(of_equity, of_requirement)
        elif math.isnan(equity[row]) and math.isnan(before):
            moved = 0.0
        else:
            moved = math.inf
        share[row] = moved / max(1.0, gross[row])  # 1.0 too where gross is not known


_shares_moved = kept_on_disk(_entry)


def _largest(values: Column, most: int) -> Numbers:
    """Return the places of the largest values, of equal ones the first.

    A sort of a million accounts cost more than their valuation, and so many are far from the largest: the
    last of the largest is no less than that of a part of them.
    """
    if not most:
        return np.zeros(0, dtype=np.int64)
    part = values[:: max(1, math.isqrt(len(values) // most))]
    near = np.flatnonzero(values >= _last_of_largest(part, most))
    least = _last_of_largest(values[near], most)
    above = near[values[near] > least]
    return np.concatenate([above, near[values[near] == least][: most - len(above)]])


def _last_of_largest(values: Column, most: int) -> float:
    return float(np.partition(values, len(values) - most)[len(values) - most])
