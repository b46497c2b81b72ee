"""The calls of a run, each from its opening to its cure."""

from __future__ import annotations

from collections import defaultdict
from typing import TypedDict

from margin_platform.backtest.report.run_result import RunResult
from margin_platform.ladder.state import DecisionKind


class Episode(TypedDict):
    """A call from its opening (date and bar) to its cure; amount: dollars;
    days: calendar days, None while it is open.
    """

    account_id: str
    opened: str
    bar: int
    amount: float
    cured: bool
    liquidated: bool
    days: float | None


def call_episodes(result: RunResult) -> list[Episode]:
    """Follow each call from its opening to its cure: whether it cured, in how many calendar days, and whether
    positions were sold for it.

    amount: the most it was issued or increased to, in dollars.
    """
    open_calls: dict[str, Episode] = {}
    sold: dict[str, set[int]] = defaultdict(set)
    for fill in result.record.fills:
        sold[fill.account_id].add(fill.bar)
    episodes = []
    for row in result.record.decisions:
        if row.action == DecisionKind.CALL:
            call: Episode = {
                "account_id": row.account_id,
                "opened": result.day(row.bar),
                "bar": row.bar,
                "amount": row.deficiency,
                "cured": False,
                "liquidated": False,
                "days": None,
            }
            open_calls[row.account_id] = call
            episodes.append(call)
        elif row.action == DecisionKind.CALL_INCREASED and row.account_id in open_calls:
            call = open_calls[row.account_id]
            call["amount"] = max(call["amount"], row.deficiency)
        elif row.action == DecisionKind.CALL_CURED and row.account_id in open_calls:
            call = open_calls.pop(row.account_id)
            call["cured"], call["days"] = (
                True,
                round((row.time - int(result.path.times[call["bar"]])) / 86_400_000, 2),
            )
            call["liquidated"] = any(call["bar"] <= bar <= row.bar for bar in sold[row.account_id])
    return episodes
