"""The firm's totals, kept current from margin.calc.v1:
sums over each account's newest figures, computing no margin of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.bounds import FIGURE, Range
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.firm.rows import TOP, Contributors, firm_rows
from margin_platform.money import cents
from margin_platform.policy.policy import Policy

_FIGURES = ("beta_weighted_exposure", "total_mv", "stress_pnl", "stress_unsecured", "stress_calls")
_RANGE = {"stress_calls": Range(0.0, 1.0)}  # an account is called in a scenario, or is not


def _figures(event: Event) -> NDArray[np.float64]:
    """Return a row of the engine's figures. BadEvent names the field that holds none."""
    found = []
    for name in _FIGURES:
        if name not in event:
            raise BadEvent(name, None, "missing")
        try:
            found.append(np.array(event[name], dtype=np.float64, ndmin=1))
        except (TypeError, ValueError) as error:
            raise BadEvent(name, event[name], "not numbers") from error
        if found[-1].ndim != 1 or not np.isfinite(found[-1]).all():
            raise BadEvent(name, event[name], "not numbers")
        low, high = _RANGE.get(name, FIGURE)
        if (found[-1] < low).any() or (found[-1] > high).any():
            raise BadEvent(name, event[name], f"not from {low:g} to {high:g}")
    exposure, net, *lanes = found
    return np.concatenate([exposure, np.abs(exposure), net, *lanes])


class FirmEngine:
    """Newest figures of every account as columns; `events` are the firm.risk.v1 rows of now."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._scenarios = policy.stress.scenarios
        self._row: dict[str, int] = {}
        self._time: list[int] = []
        # exposure, |exposure|, net MV, then pnl, unsecured, calls
        self._figures = np.zeros((0, 3 + 3 * len(self._scenarios)))
        self.event_time = 0

    def __len__(self) -> int:
        return len(self._row)

    def update(self, events: Iterable[Event]) -> int:
        """Take in calc events, newest event time winning; return how many were used.

        Unvalued accounts keep their last figures.

        BadEvent at the first event without its figures.
        """
        used = 0
        for event in events:
            if event.get("equity") is None:
                continue
            figures = _figures(event)
            if figures.shape != self._figures.shape[1:]:
                continue  # of another scenario grid: its account counts again with its next figures
            row = self._row_of(event["account_id"])
            if event["timestamp"] >= self._time[row]:
                self._time[row] = event["timestamp"]
                self.event_time = max(self.event_time, event["timestamp"])
                self._figures[row] = figures
                used += 1
        return used

    def _row_of(self, account_id: str) -> int:
        row = self._row.setdefault(account_id, len(self._row))
        if row == len(self._time):
            self._time.append(0)
            if row >= len(self._figures):
                self._figures = np.vstack([self._figures, np.zeros((max(1024, row), self._figures.shape[1]))])
        return row

    def events(self) -> list[Event]:
        """Build firm.risk.v1: one row a scenario. firm_loss sums unsecured amounts and never nets customers
        (MARGIN_RULES 6).
        """
        totals = self._figures[: len(self._row)].sum(axis=0).tolist()
        return firm_rows(self.policy, totals, len(self._row), self.event_time, self._contributors)

    def _contributors(self, column: int) -> Contributors:
        amounts = np.abs(self._figures[: len(self._row), column])
        names = list(self._row)
        order = np.argsort(-amounts, kind="stable")[:TOP]
        return [{"account_id": names[n], "amount": cents(float(amounts[n]))} for n in order if amounts[n] > 0]

    def to_state(self) -> dict[str, object]:
        """Copy the columns (the figures row after row), and what else there is, JSON-able."""
        figures = self._figures[: len(self._row)].ravel().copy()
        return {
            "accounts": list(self._row),
            "time": np.array(self._time, dtype=np.int64),
            "figures": figures,
            "clock": self.event_time,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state; a state of another scenario grid is refused (the accounts then refill
        it).
        """
        width = self._figures.shape[1]
        if not state["accounts"] or len(state["figures"]) != len(state["accounts"]) * width:
            return
        self._row = {a: n for n, a in enumerate(state["accounts"])}
        self._time, self.event_time = state["time"].tolist(), state["clock"]
        self._figures = state["figures"].reshape(-1, width).copy()
