"""The records that the margin stream reads: their topics, their order, and what each must be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable
from operator import attrgetter

from margin_platform.contracts.messages import (
    ACCOUNTS,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    PRICES,
    VOLATILITY,
    BadEvent,
    Event,
    check_time,
    decode,
)
from margin_platform.contracts.offsets import Record

CLOCK = "clock"  # ticks of the wall's clock, no Kafka topic: the time of the record counts, it has no value
# Within a batch, terms before cash before fills before the market: the order in which they make sense.
TOPICS_IN_ORDER = (ACCOUNTS, CORPORATE_ACTIONS, CASH, FILLS, BETAS, VOLATILITY, PRICES)

_PLACE, _OFFSET = attrgetter("topic", "partition"), attrgetter("offset")


def in_order(records: Iterable[Record]) -> list[list[Record]]:
    """Return the records of each partition, in the order they must be applied: by topic, then partition and
    offset; ticks last.
    """
    found: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
    for record in records:
        found[_PLACE(record)].append(record)
    rank = {topic: n for n, topic in enumerate((*TOPICS_IN_ORDER, CLOCK))}
    for rows in found.values():
        rows.sort(key=_OFFSET)
    return [found[place] for place in sorted(found, key=lambda place: (rank[place[0]], place[1]))]


def checked(record: Record, symbols: Container[str], max_future_seconds: float) -> Event:
    """Return a record's event.

    BadEvent where it breaks its contract or names a symbol that is not among these.
    """
    topic, event = record.topic, decode(record.topic, record.value)
    check_time(event, record.timestamp_ms, max_future_seconds)
    if topic in (PRICES, BETAS, VOLATILITY, CORPORATE_ACTIONS) and event["symbol"] not in symbols:
        raise BadEvent("symbol", event["symbol"], "unknown symbol")
    return event
