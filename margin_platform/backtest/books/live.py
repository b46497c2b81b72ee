"""The live book as it stands: what the topics hold, put through the stream's own engine once."""

from __future__ import annotations

from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
)
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.book import Book
from margin_platform.kernel.market import Market
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.engine import MarginEngine

_LOGS, _STATE = (ACCOUNTS, CORPORATE_ACTIONS, CASH, FILLS), (BETAS, VOLATILITY, PRICES)


class NoLiveBook(LookupError):
    """Kafka holds no account; the message names where it was looked for."""


def live_book(bus: Bus, policy: Policy) -> tuple[Book, Market]:
    """Read accounts, positions and the newest market of a cluster, stale prices marked by the event clock.

    NoLiveBook where there is none.

    Fills and cash are read whole, because the book is their sum; of prices, betas and volatilities the newest
    record counts.
    """
    engine = MarginEngine(instruments.load(), policy)
    records = [record for topic in _LOGS for record in bus.read_all(topic)]
    records += [record for topic in _STATE for record in bus.latest_by_key(topic).values()]
    engine.process(records, 0)
    if not engine.ledger.account_ids():
        raise NoLiveBook(f"{ACCOUNTS}: no account at {bus.bootstrap}, so there is no live book")
    return engine.ledger.book(engine.code_of), engine.market
