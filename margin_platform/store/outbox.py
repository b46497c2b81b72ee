"""The outbox: messages committed with the decisions that caused them leave for Kafka afterwards, in order,
at least once.

A crash between the commit and the publication leaves them here, and the next publication sends them; a crash
between the publication and its mark sends them again under the same id, which every consumer knows.
Publishers take turns: two at once would send the same messages, each before the other's mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Text, bindparam, case, cast, select, update

from margin_platform.contracts.topics import TOPICS
from margin_platform.kafka.event_log import Sender
from margin_platform.store.store import Store
from margin_platform.store.tables import outbox

_BATCH = 4000
_KEYS = {name: outbox.c.event[topic.key].as_string() for name, topic in TOPICS.items()}
_KEY = case(_KEYS, value=outbox.c.topic)
# built once: every run publishes. Decoding and encoding a message again costs more than sending it
_WAITS = outbox.c.sent.is_(False)
_UNSENT = (
    select(outbox.c.seq, outbox.c.topic, cast(outbox.c.event, Text).label("value"), _KEY.label("key"))
    .where(_WAITS)
    .order_by(outbox.c.seq)
    .limit(_BATCH)
)
_OLDEST = select(outbox.c.seq).where(_WAITS).order_by(outbox.c.seq).limit(1)
_MARK = update(outbox).where(outbox.c.seq.in_(bindparam("numbers", expanding=True))).values(sent=True)


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
                connection.execute(_MARK, {"numbers": [row.seq for row in rows]})
            total += len(rows)
            if len(rows) < _BATCH:  # who commits more meanwhile publishes it after its turn has come
                break
    return total


def _unsent(store: Store) -> Sequence[Row[Any]]:
    """Return messages as they are stored."""
    with store.read() as connection:
        return connection.execute(_UNSENT).all()


def oldest_unsent(store: Store) -> int | None:
    """Return the number of the oldest message not yet marked as sent; None where the outbox is empty."""
    with store.read() as connection:
        return connection.execute(_OLDEST).scalar()
