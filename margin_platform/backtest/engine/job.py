"""One run to be made: a book, the market it goes through, a policy, and the events on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.contracts.messages import Event
from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Market
from margin_platform.policy.policy import Policy

_STATE = b"4"  # changes with what a checkpoint holds
Trade = tuple[str, Event]  # topic, event


@dataclass(frozen=True)
class Job:
    """One run: a book over a market path under one policy, with the events (trades, cash, corporate
    actions) on the way, in time order.
    """

    book: Book
    path: MarketPath
    policy: Policy
    trades: Sequence[Trade] = ()
    suspicious: frozenset[tuple[int, int]] = frozenset()  # (bar, instrument row) of prices named as flawed
    booked: frozenset[str] = frozenset()  # ids of the corporate actions that the book rests on already

    def fingerprint(self) -> str:
        """Return a digest that changes whenever the run's result could: a checkpoint of another job is never
        continued."""
        digest = hashlib.sha256(_STATE + self.policy.model_dump_json().encode())
        for part in (self.book, self.path, self.path.market):
            for each in fields(part):
                column = getattr(part, each.name)
                if not isinstance(column, Market):
                    digest.update(
                        np.ascontiguousarray(column).tobytes()
                        if isinstance(column, np.ndarray)
                        else repr(column).encode()
                    )
        digest.update(repr((self.trades, sorted(self.suspicious), sorted(self.booked))).encode())
        return digest.hexdigest()
