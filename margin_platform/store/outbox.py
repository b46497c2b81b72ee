"""The outbox: messages committed with the decisions that caused them leave for Kafka afterwards, in order,
at least once.

A crash between the commit and the publication leaves them here, and the next publication sends them; a crash
between the publication and its mark sends them again under the same id, which every consumer knows.
Publishers take turns: two at once would send the same messages, each before the other's mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Text, case, cast, select, update

from margin_platform.contracts.topics import TOPICS
from margin_platform.kafka.event_log import Sender
from margin_platform.store.store import Store
from margin_platform.store.tables import outbox

_BATCH = 4000
_KEYS = {name: outbox.c.event[topic.key].as_string() for name, topic in TOPICS.items()}
_KEY = case(_KEYS, value=outbox.c.topic)


def publish(store: Store, bus: Sender) -> int:
    """Send every message not yet marked as sent; return how many.

    BrokerUnreachable leaves them for the next time.
    """
    total = 0
    with store.publishing():
        while rows := _unsent(store):
            for row in rows:
                bus.produce_raw(row.topic, row.value.encode(), row.key)
            bus.flush()
            with store.write() as connection:
                connection.execute(
                    update(outbox).where(outbox.c.seq.in_([row.seq for row in rows])).values(sent=True)
                )
            total += len(rows)
    return total


def _unsent(store: Store) -> Sequence[Row[Any]]:
    """Return messages as they are stored: decoding and encoding them again costs more than sending them."""
    found = select(outbox.c.seq, outbox.c.topic, cast(outbox.c.event, Text).label("value"), _KEY.label("key"))
    with store.read() as connection:
        return connection.execute(
            found.where(outbox.c.sent.is_(False)).order_by(outbox.c.seq).limit(_BATCH)
        ).all()


def oldest_unsent(store: Store) -> int | None:
    """Return the number of the oldest message not yet marked as sent; None where the outbox is empty."""
    with store.read() as connection:
        return connection.execute(
            select(outbox.c.seq).where(outbox.c.sent.is_(False)).order_by(outbox.c.seq).limit(1)
        ).scalar()
