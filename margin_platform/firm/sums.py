"""The firm's totals from account shards: exact sums in whole cents, so that no total depends on their number.

A shard keeps the figures of its own accounts (`AccountSums`) and says at each tick what they sum to. One
`FirmTotals` adds up the shards of a tick. Unvalued accounts keep their last figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.firm.rows import TOP, Contributors, firm_rows
from margin_platform.kernel.evaluate import Margin
from margin_platform.policy.policy import Policy

Cents = NDArray[np.int64]


class AccountSums:
    """The newest known figures of a shard's accounts, in cents, and their sums."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy.version
        self._scenarios = len(policy.stress.scenarios)
        self._width = 3 + 3 * self._scenarios  # exposure, |exposure|, net value, then pnl, unsecured, calls
        self._rows: Cents = np.zeros((0, self._width), dtype=np.int64)
        self._known = np.zeros(0, dtype=np.bool_)
        self._unvalued: set[int] = set()  # accounts whose last known figures count
        self._lost: set[int] = set()  # those that came to it since `lost`
        self._sums: Cents = np.zeros(self._width, dtype=np.int64)

    def update(self, margin: Margin) -> None:
        """Put evaluated accounts in the place of what was known of them."""
        published = margin.published
        known = ~np.isnan(published.equity)
        self._unvalued -= set(margin.accounts[known].tolist())
        unvalued = set(margin.accounts[~known].tolist())
        self._lost |= unvalued - self._unvalued
        self._unvalued |= unvalued
        valued = np.flatnonzero(known)
        if not len(valued):
            return
        exposure = published.beta_weighted_exposure[valued]
        columns = [exposure, np.abs(exposure), published.total_mv[valued]]
        lanes = [published.stress_pnl, published.unsecured]
        dollars = np.column_stack([*columns, *(lane[valued] for lane in lanes)])
        calls = published.stress_excess_recomputed[valued] < 0
        self._put(margin.accounts[valued], np.hstack([np.rint(dollars * 100).astype(np.int64), calls]))

    def _put(self, accounts: NDArray[np.int64], rows: Cents) -> None:
        room = int(accounts.max()) + 1
        if room > len(self._rows):
            more = max(room, 2 * len(self._rows), 1024) - len(self._rows)
            self._rows = np.vstack([self._rows, np.zeros((more, self._width), dtype=np.int64)])
            self._known = np.concatenate([self._known, np.zeros(more, dtype=np.bool_)])
        self._sums += (rows - self._rows[accounts]).sum(axis=0)
        self._rows[accounts], self._known[accounts] = rows, True

    def partial(
        self, shard: int, shards: int, tick: int, event_time: int, account_ids: Sequence[str]
    ) -> Event:
        """Build firm.partials.v1: what the accounts sum to now."""
        losses = range(3 + self._scenarios, 3 + 2 * self._scenarios)
        return {
            "shard": shard,
            "shards": shards,
            "tick": tick,
            "accounts": int(self._known.sum()),
            "sums": self._sums.tolist(),
            "top": {str(column): self._top(column, account_ids) for column in (0, *losses)},
            "policy_version": self._policy,
            "timestamp": event_time,
        }

    def _top(self, column: int, account_ids: Sequence[str]) -> list[tuple[int, str]]:
        amounts = np.abs(self._rows[: len(account_ids), column])
        if len(amounts) > TOP:  # all that tie with the last one too: names decide among them
            least = np.partition(amounts, len(amounts) - TOP)[len(amounts) - TOP]
            rows = np.flatnonzero(amounts >= max(1, least))
        else:
            rows = np.flatnonzero(amounts)
        return _largest((int(amounts[n]), account_ids[n]) for n in rows.tolist())

    def to_state(self) -> dict[str, object]:
        """Return the figures that no evaluation brings back: of accounts that cannot be valued now."""
        return self._last_known(self._unvalued)

    def lost(self) -> Json:
        """Return such figures of the accounts that came to be unvalued since the last call."""
        found = self._last_known(self._lost)
        self._lost.clear()
        return found

    def _last_known(self, accounts: Iterable[int]) -> Json:
        known = [n for n in sorted(accounts) if n < len(self._known) and self._known[n]]
        return {"accounts": known, "rows": self._rows[known].tolist()}

    def keep(self, state: Json) -> None:
        """Put saved figures in their place. Those of another scenario grid are left out: their accounts count
        again with their next figures.
        """
        rows = np.array(state["rows"], dtype=np.int64)
        if rows.ndim == 2 and rows.shape[1] == self._width:
            self._put(np.array(state["accounts"], dtype=np.int64), rows)


def _largest(found: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the largest amounts; of equal ones the accounts first by name."""
    return sorted(found, key=lambda pair: (-pair[0], pair[1]))[:TOP]


class FirmTotals:
    """Adds up the shards of a tick. `take` returns the firm's rows once all of them are there."""

    def __init__(self, policy: Policy, shards: int) -> None:
        self.policy, self.shards = policy, shards
        self._ticks: dict[int, dict[int, Event]] = {}
        self._done = -1

    def take(self, partial: Event) -> list[Event]:
        """Return firm.risk.v1 of a tick with its last partial; nothing for one that was published.

        A partial of another policy or of another number of shards adds up with none of these.
        """
        tick = partial["tick"]
        if tick <= self._done or not self._fits(partial):
            return []
        found = self._ticks.setdefault(tick, {})
        found[partial["shard"]] = partial
        if len(found) < self.shards:
            return []
        self._done = tick
        self._ticks = {later: parts for later, parts in self._ticks.items() if later > tick}
        return self._rows(list(found.values()))

    def _fits(self, partial: Event) -> bool:
        return (
            partial["shards"] == self.shards
            and partial["policy_version"] == self.policy.version
            and len(partial["sums"]) == 3 + 3 * len(self.policy.stress.scenarios)
        )

    def _rows(self, parts: list[Event]) -> list[Event]:
        accounts = sum(part["accounts"] for part in parts)
        if not accounts:
            return []
        n = len(self.policy.stress.scenarios)
        sums = [sum(column) for column in zip(*(part["sums"] for part in parts), strict=True)]
        calls = 3 + 2 * n

        def top(column: int) -> Contributors:
            largest = _largest((cents, name) for part in parts for cents, name in part["top"][str(column)])
            return [{"account_id": name, "amount": amount / 100} for amount, name in largest]

        return firm_rows(
            self.policy,
            [total / 100 for total in sums[:calls]] + sums[calls:],
            accounts,
            max(part["timestamp"] for part in parts),
            top,
        )

    def to_state(self) -> dict[str, object]:
        """Return the partials that wait for others, and the last tick that was published."""
        return {
            "waiting": [part for parts in self._ticks.values() for part in parts.values()],
            "done": self._done,
        }

    def restore(self, state: Json) -> None:
        """Continue from a saved state; what waits is taken by the policy and the number of shards of now."""
        self._done, self._ticks = state["done"], {}
        for partial in filter(self._fits, state["waiting"]):
            self._ticks.setdefault(partial["tick"], {})[partial["shard"]] = partial
