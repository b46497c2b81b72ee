"""Every account's positions as they stand now:
the book of the topics it is kept in, for questions about one account.

Published figures carry positions only where they were decided upon (margin.status.v1), and a margin clerk
asks about every account. So the dashboard reads fills, cash, terms and the market into the margin stream's
own engine, which values nothing until a question comes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from margin_platform.contracts.messages import Event
from margin_platform.contracts.offsets import Record
from margin_platform.dashboard.state.concentration import concentration
from margin_platform.dashboard.state.transfers import Transfers
from margin_platform.firm.shocks import Shock, effect
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.engine import MarginEngine


class Holdings:
    """One thread takes records, any number ask; every public method takes the lock.

    `ready`: the book was read up to where its topics stood at the start. Until then it has only some of the
    fills, and is not shown.
    """

    def __init__(self, policy: Policy) -> None:
        self.ready = False
        self._engine = MarginEngine(instruments.load(), policy)
        self._lock = threading.Lock()
        self._batches = 0
        self._transfers = Transfers()

    def take(self, records: list[Record]) -> None:
        """Take in records of the topics of `input_records.TOPICS_IN_ORDER`.

        What cannot be booked is refused by the stream, and here left out.
        """
        with self._lock:
            self._batches += 1
            self._engine.take_in(records, self._batches)
            self._transfers.take(records)
            if self.ready:
                self._transfers.forget(self._engine.event_time)
                # forgets the oldest of what waits for accounts that are never announced
                self._engine.early.overdue(0)

    def account(self, account_id: str) -> Event | None:
        """Return an account as margin.status.v1 would publish it now; None for one the book does not have."""
        with self._lock:
            if not self.ready or account_id not in self._engine.ledger:
                return None
            event = self._engine.account_now(account_id)
        # of no published calculation
        oldest = {"oldest_price": event["inputs"]["oldest_price"]}
        return {name: value for name, value in event.items() if name != "calc_id"} | {"inputs": oldest}

    def deposits_of(self, account_id: str) -> Callable[[int, int], float]:
        """Return what gives an account's net deposits after an event time up to another."""

        def deposits(after: int, upto: int) -> float:
            with self._lock:
                return self._transfers.between(account_id, after, upto)

        return deposits

    def knows(self, account_id: str) -> bool:
        """Report whether the book has an account of exactly this id."""
        with self._lock:
            return account_id in self._engine.ledger

    def event_time(self) -> int:
        """Return the event time of the newest event taken in, epoch milliseconds; 0 where there is none."""
        with self._lock:
            return self._engine.event_time

    def symbols(self) -> list[str]:
        """List every symbol that some account holds."""
        with self._lock:
            book, market = self._engine.ledger.book(self._engine.code_of), self._engine.market
            return sorted(market.symbols[code] for code in book.held().tolist())

    def holders(self, symbol: str) -> list[str]:
        """List the accounts that hold a symbol, written in any case."""
        with self._lock:
            codes = self._engine.code_of
            code = codes.get(symbol, codes.get(symbol.upper()))
            if code is None:
                return []
            book = self._engine.ledger.book(self._engine.code_of)
            return [book.account_ids[n] for n in book.accounts_holding(np.array([code])).tolist()]

    def quote(self, symbol: str) -> dict[str, object] | None:
        """Return a symbol's figures (price, beta, sigma, groups); None where it is unknown or has no
        price."""
        with self._lock:
            figures = self._engine.instrument_now(symbol) if symbol in self._engine.code_of else {}
        return figures if "price" in figures else None

    def concentration(self) -> dict[str, object]:
        """Return market value by symbol, issuer and sector over all accounts, and whether the book is read to
        its end.
        """
        with self._lock:
            book, market = self._engine.ledger.book(self._engine.code_of), self._engine.market
            return {"ready": self.ready} | concentration(book, market, instruments.sectors())

    def shock(self, shock: Shock) -> dict[str, object]:
        """Return what a shock does to the whole book, by the kernel, at an event time; see `effect`.

        Before the book is read to its end only that it is not.
        """
        with self._lock:
            if not self.ready:
                return {"ready": False}
            book, market = self._engine.ledger.book(self._engine.code_of), self._engine.market
            found = effect(book, market, self._engine.policy, shock)
            return found | {"ready": True, "timestamp": self._engine.event_time}
