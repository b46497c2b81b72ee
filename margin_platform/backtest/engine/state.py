"""What a run carries from bar to bar: its book, its ladder states, its record, and what is still to come."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from margin_platform.backtest.engine.account_book import Holdings
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.ladder_states import LadderStates
from margin_platform.backtest.engine.record import Record
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.money import CENTS_PER_DOLLAR, cents
from margin_platform.snapshots.bands import Level


@dataclass
class State:
    """Everything a run carries from bar to bar."""

    holdings: Holdings
    ladder: LadderStates
    record: Record = field(default_factory=Record)
    bar: int = 0
    trade: int = 0
    bands: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    open_accounts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    # account, instrument row, signed shares, bar it was made at
    pending: list[tuple[int, int, float, int]] = field(default_factory=list)
    due: set[int] = field(default_factory=set)  # accounts to liquidate
    announced: AnnouncedActions = field(default_factory=AnnouncedActions)

    def written_off(self) -> int:
        """Sum the cents owed by accounts that have nothing left to sell."""
        if len(self.open_accounts) == len(self.holdings.book):
            return 0
        closed = np.ones(len(self.holdings.book), dtype=np.bool_)
        closed[self.open_accounts] = False
        owed = cents(np.maximum(0.0, -self.holdings.book.cash[closed]))
        return int(np.rint(owed * CENTS_PER_DOLLAR).sum())


def start(job: Job) -> State:
    """Return the state before the first bar."""
    accounts = np.arange(len(job.book), dtype=np.int64)
    bands = np.full(len(accounts), Level.CLEAR, dtype=np.int32)
    return State(
        Holdings(job.book, job.path.market), LadderStates(job.policy), bands=bands, open_accounts=accounts
    )
