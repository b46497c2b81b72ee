"""The row of a decision in the record of a run: the figures it was made on, and what moved them."""

from __future__ import annotations

import numpy as np

from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.record import DecisionRow
from margin_platform.backtest.engine.rows import Rows
from margin_platform.backtest.engine.state import State
from margin_platform.ladder.state import Decision, DecisionKind


def decision_row(
    job: Job, state: State, account_id: str, number: int, decision: Decision, seen: Rows | None, at: int
) -> DecisionRow:
    """Return the row of a decision. seen, at: the row of figures it was made on; None of a timer's."""
    deficiency = equity = requirement = excess = np.nan
    scenario = None
    if seen is not None:
        equity, requirement, excess = seen.equity[at], seen.requirement[at], seen.excess[at]
        scenario = seen.worst[at]
        deficiency = max(0.0, -excess)
    suspicious, symbol = _cause(job, state, number, decision)
    return DecisionRow(
        state.bar,
        decision.timestamp,
        account_id,
        decision.kind.value,
        deficiency,
        equity,
        requirement,
        excess,
        scenario,
        symbol,
        suspicious,
        decision.reason,
    )


def _cause(job: Job, state: State, number: int, decision: Decision) -> tuple[bool, str]:
    """Report whether a flawed price is among an account's, and what cost it most at this bar, of calls by
    prices."""
    by_prices = decision.kind == DecisionKind.CALL and decision.timestamp == job.path.times[state.bar]
    if not by_prices and not job.suspicious:
        return False, ""
    held = state.holdings.quantity(number)
    suspicious = any((state.bar, code) in job.suspicious for code in held)
    if not by_prices or state.bar == 0 or not held:
        return suspicious, ""
    moved = job.path.price[state.bar] - job.path.before(state.bar)
    return suspicious, job.path.market.symbols[min(held, key=lambda code: (held[code] * moved[code], code))]
