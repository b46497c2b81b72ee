"""The firm's totals from account shards: exact sums in whole cents, so that no total depends on their number.

A shard keeps the figures of its own accounts and says at each tick what they sum to. `firm.totals` adds up
the shards of a tick. Unvalued accounts keep their last figures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.firm.account_cents import (
    EXPOSURE,
    PNL,
    Cents,
    Given,
    Kept,
    Mask,
    leaders,
    narrow,
    take,
    unsecured,
    wide,
)
from margin_platform.firm.totals import TOP, largest
from margin_platform.kernel.evaluate import Margin
from margin_platform.policy.policy import Policy

_MOST_LEADERS = 4096  # accounts above the line of the last tick's top


class AccountSums:
    """The newest known figures of a shard's accounts, in cents, and their sums."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy.version
        self._moves = np.array(policy.stress.scenarios)
        width = 3 + 3 * len(self._moves)  # exposure, |exposure|, net value, then pnl, unsecured, calls
        self._lost: list[int] = []  # accounts that came to be unvalued since `lost`
        self._sums: Cents = np.zeros(width, dtype=np.int64)
        self._least: Cents = np.ones(1 + len(self._moves), dtype=np.int64)  # a little below a tick's top
        self._found: Cents = np.empty((1 + len(self._moves), _MOST_LEADERS), dtype=np.int64)
        self._kept = Kept(
            np.zeros((0, PNL + len(self._moves)), np.int64), np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        )

    def update(self, margin: Margin) -> None:
        """Put evaluated accounts in the place of what was known of them. One that cannot be valued keeps its
        last figures.
        """
        if not len(margin.accounts):
            return
        self._make_room(int(margin.accounts.max()) + 1)
        unvalued = margin.accounts[np.isnan(margin.equity)]
        self._lost += unvalued[self._kept.valued[unvalued]].tolist()
        floored = margin.floored_pnl
        given = Given(
            margin.accounts,
            margin.equity,
            margin.long_mv,
            margin.short_mv,
            margin.beta_weighted_exposure,
            np.zeros((0, len(self._moves))) if floored is None else floored,
            margin.stress_excess_recomputed,
            self._moves,
        )
        take(tuple(given), tuple(self._kept), self._sums)

    def _make_room(self, accounts: int) -> None:
        more = accounts - len(self._kept.known)
        if more > 0:
            more = max(more, len(self._kept.known) // 8, 1024)
            grown = (
                np.concatenate([column, np.zeros((more, *column.shape[1:]), column.dtype)])
                for column in self._kept
            )
            self._kept = Kept(*grown)

    def partial(
        self, shard: int, shards: int, tick: int, event_time: int, account_ids: Sequence[str]
    ) -> Event:
        """Build firm.partials.v1: what the accounts sum to now."""
        losses = range(3 + len(self._moves), 3 + 2 * len(self._moves))
        tops = zip((0, *losses), self._tops(account_ids), strict=True)
        return {
            "shard": shard,
            "shards": shards,
            "tick": tick,
            "accounts": int(self._kept.known.sum()),
            "sums": self._sums.tolist(),
            "top": {str(column): top for column, top in tops},
            "policy_version": self._policy,
            "timestamp": event_time,
        }

    def _tops(self, account_ids: Sequence[str]) -> list[list[tuple[int, str]]]:
        """Return the accounts with the largest |exposure|, and with the most unsecured by move."""
        found, counts = self._found, np.zeros(len(self._least), dtype=np.int64)
        rows = self._kept.rows[: len(account_ids)]
        leaders(rows, self._least, found, counts)
        tops = []
        for column, count in enumerate(counts.tolist()):
            # all accounts where the last tick's line shows too many, or too few
            shown = count <= found.shape[1] and (count >= TOP or self._least[column] == 1)
            numbers = found[column, :count] if shown else np.arange(len(rows))
            amounts = unsecured(rows[numbers], column - 1) if column else np.abs(rows[numbers, EXPOSURE])
            least = np.partition(amounts, -TOP)[-TOP] if len(amounts) > TOP else 0
            chosen = np.flatnonzero(amounts >= max(1, least))  # all that tie: names decide among them
            self._least[column] = max(1, least * 4 // 5)
            tops.append(largest((int(amounts[n]), account_ids[numbers[n]]) for n in chosen.tolist()))
        return tops

    def to_state(self) -> dict[str, object]:
        """Return the figures that no evaluation brings back: of accounts that cannot be valued now."""
        return self._last_known(~self._kept.valued)

    def lost(self) -> Json:
        """Return such figures of the accounts that came to be unvalued since the last call."""
        lost = np.zeros_like(self._kept.known)
        lost[self._lost] = True
        self._lost.clear()
        return self._last_known(lost)

    def _last_known(self, wanted: Mask) -> Json:
        accounts = np.flatnonzero(self._kept.known & wanted)
        return {"accounts": accounts.tolist(), "rows": wide(self._kept.rows[accounts]).tolist()}

    def keep(self, state: Json) -> None:
        """Put saved figures in their place. Those of another scenario grid are left out: their accounts count
        again with their next figures.
        """
        rows = np.array(state["rows"], dtype=np.int64)
        if rows.ndim != 2 or rows.shape[1] != len(self._sums):
            return
        accounts = np.array(state["accounts"], dtype=np.int64)
        self._make_room(int(accounts.max()) + 1)
        before = wide(self._kept.rows[accounts[self._kept.known[accounts]]])
        self._sums += rows.sum(axis=0) - before.sum(axis=0)
        self._kept.rows[accounts], self._kept.known[accounts] = narrow(rows), True
        self._kept.valued[accounts] = False
