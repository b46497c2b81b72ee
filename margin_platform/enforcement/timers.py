"""When the ladder's next timer is due. Light on imports: a sensor asks every few seconds."""

from __future__ import annotations

from sqlalchemy import select

from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states

# built once: it is asked every few seconds
_NEXT = (
    select(ladder_states.c.next_deadline)
    .order_by(ladder_states.c.next_deadline)
    .where(ladder_states.c.next_deadline.is_not(None))
    .limit(1)
)


def next_timer(store: Store) -> int | None:
    """Return the earliest event time at which a timer is due; None where none is set."""
    with store.read() as connection:
        return connection.execute(_NEXT).scalar()
