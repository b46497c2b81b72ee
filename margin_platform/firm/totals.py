"""The firm's totals: what the account shards of a tick sum to, added up. It needs no kernel."""

from __future__ import annotations

from collections.abc import Iterable

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.firm.rows import TOP, Contributors, firm_rows
from margin_platform.policy.policy import Policy


def largest(found: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
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
            named = (part["top"].get(str(column), ()) for part in parts)
            most = largest((cents, name) for some in named for cents, name in some)
            return [{"account_id": name, "amount": amount / 100} for amount, name in most]

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
