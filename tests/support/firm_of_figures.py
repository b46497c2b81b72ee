"""The firm's rows as sums of what was published of its accounts, to compare the shards' exact sums with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from margin_platform.contracts.messages import Event
from margin_platform.firm.rows import TOP, Contributors, firm_rows
from margin_platform.money import cents
from margin_platform.policy.policy import Policy


class FirmOfFigures:
    """The newest figures of every account; one that cannot be valued keeps its last ones."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._newest: dict[str, Event] = {}

    def update(self, events: Iterable[Event]) -> None:
        """Take events of margin.calc.v1."""
        for event in events:
            before = self._newest.get(event["account_id"])
            if event["equity"] is not None and (before is None or event["timestamp"] >= before["timestamp"]):
                self._newest[event["account_id"]] = event

    def events(self) -> list[Event]:
        """Build firm.risk.v1: one row a scenario."""
        rows = np.array([self._row(event) for event in self._newest.values()])

        def top(column: int) -> Contributors:
            amounts = np.abs(rows[:, column])
            names = list(self._newest)
            order = np.argsort(-amounts, kind="stable")[:TOP]
            return [
                {"account_id": names[n], "amount": cents(float(amounts[n]))} for n in order if amounts[n] > 0
            ]

        clock = max(event["timestamp"] for event in self._newest.values())
        return firm_rows(self._policy, rows.sum(axis=0).tolist(), len(rows), clock, top)

    @staticmethod
    def _row(event: Event) -> list[float]:
        exposure = event["beta_weighted_exposure"]
        lanes = (event[name] for name in ("stress_pnl", "stress_unsecured", "stress_calls"))
        return [exposure, abs(exposure), event["total_mv"], *(float(x) for lane in lanes for x in lane)]
